// One batch of raw ids into a hashed ZCH: hits, inserts and evictions, in place, the same for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/zch/probe.h"
#include "csrc/cpu/zch_positions.h"

namespace jaxtbe {

struct ZchSlots {
  int64_t count;
  uint64_t* identities;
  int32_t* last_seen;
  int32_t* counts;     // or null: not tracked
  int32_t* occupancy;  // one number
};

struct ZchRules {
  Eviction eviction;
  Priority priority;
  OnFull on_full;
  int64_t admit_after;
};

struct ZchInsertArgs {
  ZchSlots slots;
  ProbeLayout layout;
  ZchRules rules;
  ZchBatch batch;
  const int32_t* scores;  // [num_ids], or null: now + ttl
  int32_t now;
  int32_t ttl;
  int32_t* rows;          // [num_ids]
  int8_t* status;         // [num_ids], an Outcome each
  int32_t* evicted;       // [num_ids]: slots in ascending order, then -1
  uint64_t* evicted_ids;  // [num_ids]: the ids that hold those slots now, then kNoId
  int32_t* counters;      // [kNumCounters]
  float* evicted_age;     // one number: the sum over evicted ids of (now + ttl - last_seen)
  void* scratch;          // ZchInsertScratchBytes(num_ids)
  int64_t grain = 2048;   // positions of a task, at least
};

size_t ZchInsertScratchBytes(int64_t num_ids);
void ZchInsert(const ZchInsertArgs& args, const Pool& pool);

}  // namespace jaxtbe
