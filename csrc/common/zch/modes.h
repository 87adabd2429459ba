// The enumerations of a hashed ZCH, with the numbers under which they travel as FFI attributes and results.
#pragma once

#include <cstdint>

namespace jaxtbe {

// How a feature uses its table.
enum class Access : int64_t { kOtherTable = -1, kReadWrite = 0, kReadOnly = 1, kWriteOnly = 2 };

// Which occupied slots a new id may take, and in which order it looks at slots.
enum class Eviction : int64_t { kNone = 0, kTtl = 1, kLru = 2 };

// The row of an id that has no slot: none, that of its home slot, or one of the rows reserved for this.
enum class OnFull : int64_t { kMiss = 0, kShare = 1, kReserved = 2 };

// Which of two new ids gets the slot that both want: the smaller id, or the one seen first in the batch.
enum class Priority : int64_t { kId = 0, kFirst = 1 };

// What became of one position of the batch.
enum class Outcome : int8_t {
  kNoId = 0,        // no id here, or a position of another table
  kHit = 1,         // the id was in the table before the batch
  kInserted = 2,    // it took an empty slot
  kEvicted = 3,     // it took the slot of another id
  kFailed = 4,      // it found no slot
  kUnadmitted = 5,  // too few occurrences in the batch to be inserted
  kReadHit = 6,     // read-only or masked: the id is in the table after the batch
  kReadMiss = 7     // read-only or masked: it is not
};

// What is counted of one batch. Hits and reads count positions; inserts, evictions, failures and unadmitted count ids.
enum class Counter : int {
  kPositions,
  kHits,
  kInserts,  // evicting ones included
  kEvictions,
  kFailures,
  kUnadmitted,
  kReadHits,
  kReadMisses,
  kOccupancy  // ids in the table after the batch
};
constexpr int kNumCounters = 9;

}  // namespace jaxtbe
