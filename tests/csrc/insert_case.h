// One batch through an insert, on buffers of its own: what the stress tests of every backend call.
#pragma once

#include <cstddef>
#include <vector>

#include "csrc/common/zch/args.h"
#include "tests/csrc/sequential_insert.h"

namespace jaxtbe {

// Calls insert(const ZchInsertArgs&), which changes `state`.
template <class Insert>
Result InsertCase(const Case& c, State& state, size_t scratch_bytes, const Insert& insert) {
  const int64_t n = static_cast<int64_t>(c.ids.size());
  Result result = {std::vector<int32_t>(n), std::vector<int32_t>(n)};
  std::vector<int8_t> status(n);
  std::vector<uint64_t> evicted_ids(n);
  std::vector<unsigned char> scratch(scratch_bytes);
  const int32_t offsets[] = {0, static_cast<int32_t>(n)}, no_ttl = 0;
  const int64_t access[] = {static_cast<int64_t>(Access::kReadWrite)};
  int32_t counters[kNumCounters];
  float evicted_age;
  insert(
      ZchInsertArgs{{c.slots, state.identities.data(), state.last_seen.data(), state.counts.data(), &state.occupancy},
                    ProbeLayout(c.slots, 1, 0, c.max_probe),
                    {c.eviction, c.priority, OnFull::kMiss, c.admit_after},
                    {c.ids.data(), n, offsets, 1, access, 1, nullptr},
                    c.scores.data(),
                    &c.now,
                    &no_ttl,
                    result.rows.data(),
                    status.data(),
                    result.evicted.data(),
                    evicted_ids.data(),
                    counters,
                    &evicted_age,
                    scratch.data()});
  return result;
}

}  // namespace jaxtbe
