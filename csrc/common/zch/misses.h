// The distinct ids of a batch that are not in the table: a hash table in scratch, filled by many threads.
#pragma once

#include <cstdint>

#include "csrc/common/atomics.h"
#include "csrc/common/prefetch.h"
#include "csrc/common/zch/probe.h"

namespace jaxtbe {

struct MissingId {
  uint64_t id;     // kNoId: a free entry
  int32_t count;   // writing positions
  int32_t score;   // the largest
  uint32_t first;  // the first position
  int32_t slot;    // -1 until it has won one
  bool evicted;    // the slot held another id
};

class MissingIds {
 public:
  // How many entries `ids` positions need: half of the entries stay free, so that probing is short and always ends.
  JAXTBE_HD static int64_t Capacity(int64_t ids) { return 2 * ids + 1; }

  JAXTBE_HD MissingIds(MissingId* entries, int64_t capacity) : entries_(entries), capacity_(capacity) {}

  JAXTBE_HD void Clear(int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i) entries_[i] = {kNoId, 0, INT32_MIN, UINT32_MAX, -1, false};
  }

  // Two entries share a line. Now and then the second one is looked at, too.
  JAXTBE_HD void PrefetchId(uint64_t id) const {
    const int64_t start = Start(id);
    PrefetchForWrite(entries_ + start);
    PrefetchForWrite(entries_ + start + 1);
  }

  JAXTBE_HD void PrefetchEntry(uint32_t index) const { PrefetchForWrite(entries_ + index); }

  // Counts one position and returns the entry of its id.
  JAXTBE_HD uint32_t Add(uint64_t id, int32_t score, uint32_t position) const {
    const uint32_t index = FindOrAdd(id);
    MissingId& entry = entries_[index];
    AtomicAdd(&entry.count, 1);
    AtomicMax(&entry.score, score);
    AtomicMin(&entry.first, position);
    return index;
  }

  JAXTBE_HD MissingId& operator[](uint32_t index) const { return entries_[index]; }
  JAXTBE_HD int64_t capacity() const { return capacity_; }

 private:
  JAXTBE_HD int64_t Start(uint64_t id) const { return static_cast<int64_t>(MultiplyHigh(ZchHash(id), capacity_)); }

  JAXTBE_HD uint32_t FindOrAdd(uint64_t id) const {
    for (int64_t i = Start(id);; i = i + 1 == capacity_ ? 0 : i + 1) {
      uint64_t held = AtomicLoad(&entries_[i].id);
      if (held == kNoId && AtomicReplace(&entries_[i].id, &held, id)) return static_cast<uint32_t>(i);
      if (held == id) return static_cast<uint32_t>(i);
    }
  }

  MissingId* entries_;
  int64_t capacity_;
};

}  // namespace jaxtbe
