// The slots of raw ids in a hashed ZCH, a group of ids at a time.
#pragma once

#include <cstdint>

#include "csrc/common/zch/args.h"
#include "csrc/cpu/simd/kernels.h"
#include "csrc/cpu/zch_positions.h"

namespace jaxtbe {

// Calls prefetch(slot) for the ids of a range that are in the table, a group of them ahead of visit(position, slot or
// -1, id).
template <class Prefetch, class Visit>
void LocateRange(const SlotIdentities& slots, const ProbeLayout& layout, const uint64_t* ids, Range range,
                 Prefetch prefetch, Visit visit) {
  const auto locate = BestKernels().locate;
  int32_t found[kLocateGroup];
  for (int64_t begin = range.begin; begin < range.end; begin += kLocateGroup) {
    const int64_t count = std::min(kLocateGroup, range.end - begin);
    locate(slots, layout, ids + begin, count, found);
    for (int64_t k = 0; k < count; ++k) {
      if (found[k] >= 0) prefetch(found[k]);
    }
    for (int64_t k = 0; k < count; ++k) {
      const uint64_t id = ids[begin + k];
      visit(begin + k, id == kNoId ? -1 : found[k], id);
    }
  }
}

}  // namespace jaxtbe
