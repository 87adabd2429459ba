// What an insert does with one position of the batch, and with one slot that was claimed. The backends differ in how
// they loop over them and in how they count:
//
//   struct Tally {
//     void Count(Counter counter);
//     void CountMiss();                // of a writing position; where nobody needs it, it does nothing
//     void CountUnsettled();           // a hit whose slot stays evictable; the same
//     void AddEvictedAge(int64_t age);
//   };
#pragma once

#include "csrc/common/atomics.h"
#include "csrc/common/zch/args.h"
#include "csrc/common/zch/misses.h"

namespace jaxtbe {

struct InsertSteps {
  const ZchInsertArgs& args;
  int32_t now, ttl;

  // Whether a position inserts its id. `feature_writes`: whether its feature may.
  JAXTBE_HD bool Writes(int64_t n, bool feature_writes) const {
    return feature_writes && (!args.batch.update_mask || args.batch.update_mask[n]);
  }
  JAXTBE_HD int32_t Score(int64_t n) const { return args.scores ? args.scores[n] : DefaultScore(now, ttl); }
  JAXTBE_HD void Report(int64_t n, int32_t row, Outcome outcome) const {
    args.rows[n] = row;
    args.status[n] = static_cast<int8_t>(outcome);
  }
  JAXTBE_HD bool Is(int64_t n, Outcome outcome) const { return args.status[n] == static_cast<int8_t>(outcome); }
  JAXTBE_HD bool IsAdmitted(const MissingId& entry) const { return entry.count >= args.rules.admit_after; }

  // A writing position whose id is in `slot`, or in none (-1): refreshes the slot. Misses are left as failed, until
  // ReportMiss knows better.
  template <class Tally>
  JAXTBE_HD void SettleHit(int64_t n, uint64_t id, int32_t slot, Tally& tally) const {
    if (id == kNoId) return Report(n, -1, Outcome::kNoId);
    tally.Count(Counter::kPositions);
    if (slot < 0) {
      tally.CountMiss();
      return Report(n, -1, Outcome::kFailed);
    }
    tally.Count(Counter::kHits);
    Report(n, slot, Outcome::kHit);
    const int32_t score = Score(n);
    AtomicMax(args.slots.last_seen + slot, score);
    if (args.slots.counts) AtomicCount(args.slots.counts + slot);
    if (args.rules.eviction != Eviction::kNone && score < now) tally.CountUnsettled();
  }

  // Notes the id of a missed position. `rows` keeps its entry for ReportMiss.
  JAXTBE_HD void CollectMiss(int64_t n, const MissingIds& missing) const {
    args.rows[n] = static_cast<int32_t>(missing.Add(args.batch.ids[n], Score(n), static_cast<uint32_t>(n)));
  }

  // Whether the slot of a hit could be evicted: one that was seen at or after the threshold cannot.
  JAXTBE_HD bool NeedsProtection(int64_t n) const {
    return args.rules.eviction != Eviction::kNone && args.slots.last_seen[args.rows[n]] < now;
  }

  // Gives a slot to the id that holds the final claim. Returns whether it was another's.
  template <class Tally>
  JAXTBE_HD bool Commit(int32_t slot, MissingId& winner, Tally& tally) const {
    const ZchSlots& slots = args.slots;
    winner.slot = slot;
    winner.evicted = slots.identities[slot] != kNoId;
    tally.Count(Counter::kInserts);
    if (winner.evicted) {
      tally.Count(Counter::kEvictions);
      tally.AddEvictedAge(int64_t{now} + ttl - slots.last_seen[slot]);
    }
    slots.identities[slot] = winner.id;
    slots.last_seen[slot] = winner.score;
    if (slots.counts) slots.counts[slot] = winner.count;
    return winner.evicted;
  }

  JAXTBE_HD void ReportMiss(int64_t n, const MissingId& entry) const {
    if (entry.slot >= 0) return Report(n, entry.slot, entry.evicted ? Outcome::kEvicted : Outcome::kInserted);
    Report(n, args.layout.FallbackRow(args.rules.on_full, entry.id),
           IsAdmitted(entry) ? Outcome::kFailed : Outcome::kUnadmitted);
  }

  // A position that does not write, whose id is in `slot` after the batch, or in none (-1).
  template <class Tally>
  JAXTBE_HD void ResolveRead(int64_t n, uint64_t id, int32_t slot, Tally& tally) const {
    if (id == kNoId) return Report(n, -1, Outcome::kNoId);
    tally.Count(Counter::kPositions);
    tally.Count(slot < 0 ? Counter::kReadMisses : Counter::kReadHits);
    if (slot >= 0) return Report(n, slot, Outcome::kReadHit);
    Report(n, args.layout.FallbackRow(args.rules.on_full, id), Outcome::kReadMiss);
  }
};

}  // namespace jaxtbe
