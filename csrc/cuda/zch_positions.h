// What one table does with each position of a batch.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/zch/args.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/positions.h"

namespace jaxtbe {

// The Access of the features [first, first + count) of a batch.
using AccessBatch = Descriptors<int8_t>;

inline std::vector<int8_t> AccessOf(const ZchBatch& batch) {
  return std::vector<int8_t>(batch.access, batch.access + batch.num_features);
}

// The access of position n, or kOtherTable if its feature is not among these.
__device__ __forceinline__ Access AccessAt(const ZchBatch& batch, const AccessBatch& access, int64_t first, int64_t n) {
  const int64_t feature = FeatureAt(batch.offsets, batch.num_features, batch.batch, n);
  if (feature < first || feature >= first + access.count) return Access::kOtherTable;
  return static_cast<Access>(access.items[feature - first]);
}

}  // namespace jaxtbe
