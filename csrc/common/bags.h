// One batch of ids, as the kernels see it.
#pragma once

#include <cstdint>

#include "csrc/common/range.h"

namespace jaxtbe {

// Feature f of sample b has the ids at positions [offsets[f * batch + b], offsets[f * batch + b + 1]).
struct BagsView {
  const int32_t* ids;
  int64_t num_ids;
  const int32_t* offsets;
  const float* id_weights;  // [num_ids] or null
  int64_t batch;

  // Any offsets give a range inside the ids: broken ones read wrong ids, never foreign memory.
  JAXTBE_HD Range Bag(int64_t feature, int64_t sample) const {
    const int32_t* o = offsets + feature * batch + sample;
    const int64_t begin = Clamp(o[0], 0, num_ids);
    return {begin, Clamp(o[1], begin, num_ids)};
  }
};

}  // namespace jaxtbe
