// What one table does with each position of a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/zch/args.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {

// The Access of the features [first, first + count) of a batch.
using AccessBatch = Descriptors<int8_t>;

inline std::vector<int8_t> AccessOf(const ZchBatch& batch) {
  return std::vector<int8_t>(batch.access, batch.access + batch.num_features);
}

// The access of position n, or kOtherTable if its feature is not among these.
__device__ __forceinline__ Access AccessAt(const ZchBatch& batch, const AccessBatch& access, int64_t first, int64_t n) {
  int64_t low = 0, high = batch.num_features + 1;  // the first boundary between features that is past n
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (batch.offsets[middle * batch.batch] <= n) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const int64_t feature = low - 1 - first;
  if (low == 0 || low > batch.num_features || feature < 0 || feature >= access.count) return Access::kOtherTable;
  return static_cast<Access>(access.items[feature]);
}

}  // namespace jaxtbe
