#include "csrc/cpu/faults.h"
#include "csrc/cpu/ops.h"

namespace jaxtbe {

void CountFaults(const BagsView& bags, const int64_t* rows, int64_t num_features, int32_t* faults, const Pool& pool) {
  ParallelFor(pool, num_features, [&](int64_t f) {
    const int32_t* offsets = bags.offsets + f * bags.batch;
    const int64_t begin = Clamp(offsets[0], 0, bags.num_ids), end = Clamp(offsets[bags.batch], begin, bags.num_ids);
    Faults found;
    for (int64_t i = begin; i < end; ++i) {
      if (bags.ids[i] >= rows[f]) found.Add(bags.ids[i]);
    }
    faults[2 * f] = found.count;
    faults[2 * f + 1] = found.first;
  });
}

}  // namespace jaxtbe
