// Lookup of raw ids in a hashed ZCH: nothing is inserted, nothing changes.
#pragma once

#include <cstdint>

#include "csrc/common/zch/probe.h"
#include "csrc/cpu/zch_positions.h"

namespace jaxtbe {

// Calls visit(position, slot or -1, id) for the positions of a range, with the home slots of the next ids on their way from
// memory. `prefetch(slot)` asks for whatever else the visit will touch.
template <class Prefetch, class Visit>
void LocateRange(const uint64_t* identities, const ProbeLayout& layout, const uint64_t* ids, Range range,
                 Prefetch prefetch, Visit visit) {
  constexpr uint64_t kAhead = 32;
  Window windows[kAhead];
  const auto prepare = [&](uint64_t n) {
    const Window window = windows[n % kAhead] = layout.WindowOf(ids[n]);
    const int32_t home = layout.SlotAt(window, 0);
    __builtin_prefetch(identities + home);
    prefetch(home);
  };
  const uint64_t begin = range.begin, end = range.end;
  for (uint64_t n = begin; n < std::min(begin + kAhead, end); ++n) prepare(n);
  for (uint64_t n = begin; n < end; ++n) {
    const Window window = windows[n % kAhead];
    if (n + kAhead < end) prepare(n + kAhead);
    const uint64_t id = ids[n];
    visit(static_cast<int64_t>(n), id == kNoId ? -1 : Locate(identities, layout, window, id), id);
  }
}

struct ZchFindArgs {
  const uint64_t* identities;
  ProbeLayout layout;
  OnFull on_full;
  ZchBatch batch;  // `update_mask` unused
  int32_t* rows;   // [num_ids]
  int8_t* status;  // [num_ids], an Outcome each
};

void ZchFind(const ZchFindArgs& args, const Pool& pool);

}  // namespace jaxtbe
