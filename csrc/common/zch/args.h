// What lookups and inserts of raw ids are called with.
#pragma once

#include <cstdint>

#include "csrc/common/zch/modes.h"
#include "csrc/common/zch/probe.h"

namespace jaxtbe {

struct ZchBatch {
  const uint64_t* ids;
  int64_t num_ids;
  const int32_t* offsets;  // [num_features * batch + 1], feature-major, of all features
  int64_t batch;
  const int64_t* access;  // [num_features], an Access each, on the host
  int64_t num_features;
  const uint8_t* update_mask;  // [num_ids] or null
};

struct ZchFindArgs {
  SlotIdentities slots;
  ProbeLayout layout;
  OnFull on_full;
  ZchBatch batch;  // `update_mask` unused
  int32_t* rows;   // [num_ids]
  int8_t* status;  // [num_ids], an Outcome each
};

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
  const int32_t* now;     // one number
  const int32_t* ttl;     // one number
  int32_t* rows;          // [num_ids]
  int8_t* status;         // [num_ids], an Outcome each
  int32_t* evicted;       // [num_ids]: slots in ascending order, then -1
  uint64_t* evicted_ids;  // [num_ids]: the ids that hold those slots now, then kNoId
  int32_t* counters;      // [kNumCounters]
  float* evicted_age;     // one number: the sum over evicted ids of (now + ttl - last_seen)
  void* scratch;          // ZchInsertScratchBytes(num_ids)
};

// The score of a position where there are no scores by id.
JAXTBE_HD int32_t DefaultScore(int32_t now, int32_t ttl) {
  const int64_t score = int64_t{now} + ttl;
  return static_cast<int32_t>(score > INT32_MAX ? INT32_MAX : (score < INT32_MIN ? INT32_MIN : score));
}

}  // namespace jaxtbe
