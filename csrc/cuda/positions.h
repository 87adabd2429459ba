// Which feature a position of a batch belongs to.
#pragma once

#include <cstdint>

#include "csrc/cuda/device.h"

namespace jaxtbe {

// The feature of a position, or -1. Offsets that fall would give a wrong feature, never a foreign read.
__device__ __forceinline__ int64_t FeatureAt(const int32_t* offsets, int64_t num_features, int64_t batch,
                                             int64_t position) {
  int64_t low = 0, high = num_features + 1;  // the first boundary between features that is past the position
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (offsets[middle * batch] <= position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > num_features ? -1 : low - 1;
}

}  // namespace jaxtbe
