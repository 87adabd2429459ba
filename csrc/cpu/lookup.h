// Forward: bags of ids to pooled rows.
#pragma once

#include <cstdint>

#include "csrc/common/lookup_args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

// Ids at or past the end of their table: how many, and the first in (sample, position) order.
struct Faults {
  int32_t count = 0;
  int32_t first = -1;

  void Add(int32_t id) {
    if (count++ == 0) first = id;
  }
  void Append(const Faults& later) {
    if (count == 0) first = later.first;
    count += later.count;
  }
};

void Lookup(const LookupArgs& args, const Pool& pool);

void IdWeightsGrad(const IdWeightsGradArgs& args, const Pool& pool);

}  // namespace jaxtbe
