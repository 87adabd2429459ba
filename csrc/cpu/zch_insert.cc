#include "csrc/cpu/ops.h"

#include <vector>

#include "csrc/common/arena.h"
#include "csrc/common/zch/insert_steps.h"
#include "csrc/cpu/prefetched.h"
#include "csrc/cpu/radix_sort.h"
#include "csrc/cpu/zch_locate.h"
#include "csrc/cpu/zch_matching.h"

namespace jaxtbe {
namespace {

// What one task has seen. Sums of integers, so that they are the same in any order.
struct Tally {
  int64_t misses = 0;     // writing positions
  int64_t unsettled = 0;  // hits whose score leaves the slot evictable
  int64_t evicted_age = 0;
  int32_t counters[kNumCounters] = {};

  int32_t& operator[](Counter counter) { return counters[static_cast<int>(counter)]; }
  void Count(Counter counter) { ++(*this)[counter]; }
  void CountMiss() { ++misses; }
  void CountUnsettled() { ++unsettled; }
  void AddEvictedAge(int64_t age) { evicted_age += age; }
  void Add(const Tally& other) {
    misses += other.misses;
    unsettled += other.unsettled;
    evicted_age += other.evicted_age;
    for (int k = 0; k < kNumCounters; ++k) counters[k] += other.counters[k];
  }
};

struct Scratch {
  MissingId* missing;
  uint64_t* claims;
  uint64_t* evicted;
  RadixSort sort;

  Scratch(int64_t num_ids, Arena& arena)
      : missing(arena.Take<MissingId>(MissingIds::Capacity(num_ids))),
        claims(arena.Take<uint64_t>(SlotClaims::Capacity(num_ids))),
        evicted(arena.Take<uint64_t>(num_ids)),
        sort(num_ids, arena) {}
};

// The steps of one insert, in the order in which they run. Each is a pass that ends before the next begins.
class Inserter {
 public:
  Inserter(const ZchInsertArgs& args, const Pool& pool, int64_t grain)
      : args_(args),
        pool_(pool),
        grain_(grain),
        steps_{args, *args.now, *args.ttl},
        scratch_(ScratchOf(args)),
        tasks_(SplitPositions(args.batch, grain)) {}

  void Run() {
    FillGaps();
    SettleHits();
    if (total_.misses > 0) {
      const MissingIds missing(scratch_.missing, MissingIds::Capacity(total_.misses));
      // Every claimed slot has its own claimant, and every protected one a hit.
      const SlotClaims claims(scratch_.claims, SlotClaims::Capacity(total_.misses + total_.unsettled), missing,
                              args_.rules.priority);
      Clear(missing, claims);
      CollectMisses(missing, claims);
      MakeClaims(missing, claims);
      CommitClaims(missing, claims);
      ReportMisses(missing);
    }
    ResolveReads();
    ReportEvicted();
    ReportCounters();
  }

 private:
  static Scratch ScratchOf(const ZchInsertArgs& args) {
    Arena arena(args.scratch);
    return Scratch(args.batch.num_ids, arena);
  }

  // Runs task(i, tally) for i in [0, count), and adds up the tallies.
  template <class F>
  void ForEach(int64_t count, F task) {
    std::vector<Tally> tallies(count);
    ParallelFor(pool_, count, [&](int64_t i) { task(i, tallies[i]); });
    for (const Tally& tally : tallies) total_.Add(tally);
  }
  template <class F>
  void ForEachTask(F task) {
    ForEach(static_cast<int64_t>(tasks_.size()), [&](int64_t i, Tally& tally) { task(tasks_[i], tally); });
  }
  // The same over parts of a scratch table.
  template <class F>
  void ForEachPart(int64_t entries, F task) {
    const int64_t parts = NumParts(entries, grain_);
    ForEach(parts, [&](int64_t i, Tally& tally) { task(Part(entries, parts, i), tally); });
  }

  void FillGaps() const {
    ForEachGap(tasks_, args_.batch.num_ids, [&](Range gap) {
      for (int64_t n = gap.begin; n < gap.end; ++n) steps_.Report(n, -1, Outcome::kNoId);
    });
  }

  // Refreshes every id that is in its window.
  void SettleHits() {
    const ZchSlots& slots = args_.slots;
    ForEachTask([&](const ZchTask& task, Tally& tally) {
      if (!task.writes) return;
      const auto prefetch = [&](int32_t slot) {
        PrefetchForWrite(slots.last_seen + slot);
        if (slots.counts) PrefetchForWrite(slots.counts + slot);
      };
      LocateRange({slots.identities, slots.count}, args_.layout, args_.batch.ids, task.positions, prefetch,
                  [&](int64_t n, int32_t slot, uint64_t id) {
                    if (steps_.Writes(n, task.writes)) steps_.SettleHit(n, id, slot, tally);
                  });
    });
  }

  void Clear(const MissingIds& missing, const SlotClaims& claims) {
    ForEachPart(missing.capacity(), [&](Range part, Tally&) { missing.Clear(part.begin, part.end); });
    ForEachPart(claims.capacity(), [&](Range part, Tally&) { claims.Clear(part.begin, part.end); });
  }

  // Gathers the distinct missing ids, and protects the slots of hits.
  void CollectMisses(const MissingIds& missing, const SlotClaims& claims) {
    const bool protects = total_.unsettled > 0;
    ForEachTask([&](const ZchTask& task, Tally&) {
      auto add = WithPrefetch<int64_t>([&](int64_t n) { missing.PrefetchId(args_.batch.ids[n]); },
                                       [&](int64_t n) { steps_.CollectMiss(n, missing); });
      for (int64_t n = task.positions.begin; n < task.positions.end; ++n) {
        if (!steps_.Writes(n, task.writes)) continue;
        if (steps_.Is(n, Outcome::kFailed)) {
          add.Push(n);
        } else if (protects && steps_.Is(n, Outcome::kHit) && steps_.NeedsProtection(n)) {
          claims.Protect(args_.rows[n]);
        }
      }
      add.Flush();
    });
  }

  // Lets the missing ids compete for slots.
  void MakeClaims(const MissingIds& missing, const SlotClaims& claims) {
    const SlotsView slots = {args_.slots.identities, args_.slots.last_seen};
    const SlotChooser chooser(slots, args_.layout, args_.rules.eviction, steps_.now);
    const SlotMatching matching(slots, chooser, args_.layout, missing, claims, args_.rules.admit_after);
    const auto add = [](Tally& tally, const MatchingCounts& counts) {
      tally[Counter::kFailures] += counts.failures;
      tally[Counter::kUnadmitted] += counts.unadmitted;
    };
    if (ClaimsInOrder(args_.rules.eviction, args_.layout)) return add(total_, matching.RunInOrder());
    ForEachPart(missing.capacity(), [&](Range part, Tally& tally) { add(tally, matching.Run(part)); });
  }

  void PrefetchSlot(int32_t slot) const {
    PrefetchForWrite(args_.slots.identities + slot);
    PrefetchForWrite(args_.slots.last_seen + slot);
    if (args_.slots.counts) PrefetchForWrite(args_.slots.counts + slot);
  }

  // Gives the slots to those who hold the final claims.
  void CommitClaims(const MissingIds& missing, const SlotClaims& claims) {
    ForEachPart(claims.capacity(), [&](Range part, Tally& tally) {
      auto commit = WithPrefetch<SlotRequest>(
          [&](SlotRequest winner) {
            PrefetchSlot(winner.slot);
            missing.PrefetchEntry(winner.index);
          },
          [&](SlotRequest winner) { Commit(winner.slot, missing[winner.index], tally); });
      claims.ForEachWinner(part.begin, part.end, [&](int32_t slot, uint32_t index) { commit.Push({index, slot}); });
      commit.Flush();
    });
  }

  void Commit(int32_t slot, MissingId& winner, Tally& tally) {
    if (!steps_.Commit(slot, winner, tally)) return;
    scratch_.evicted[AtomicAdd(&num_evicted_, int64_t{1})] = static_cast<uint64_t>(slot) << 32;
  }

  void ReportMisses(const MissingIds& missing) {
    ForEachTask([&](const ZchTask& task, Tally&) {
      const auto entry_of = [&](int64_t n) { return static_cast<uint32_t>(args_.rows[n]); };
      auto report = WithPrefetch<int64_t>([&](int64_t n) { missing.PrefetchEntry(entry_of(n)); },
                                          [&](int64_t n) { steps_.ReportMiss(n, missing[entry_of(n)]); });
      for (int64_t n = task.positions.begin; n < task.positions.end; ++n) {
        if (steps_.Writes(n, task.writes) && steps_.Is(n, Outcome::kFailed)) report.Push(n);
      }
      report.Flush();
    });
  }

  // Positions that do not write see the table as it is after the batch.
  void ResolveReads() {
    ForEachTask([&](const ZchTask& task, Tally& tally) {
      if (task.writes && !args_.batch.update_mask) return;
      LocateRange(
          {args_.slots.identities, args_.slots.count}, args_.layout, args_.batch.ids, task.positions, [](int32_t) {},
          [&](int64_t n, int32_t slot, uint64_t id) {
            if (!steps_.Writes(n, task.writes)) steps_.ResolveRead(n, id, slot, tally);
          });
    });
  }

  // Claims are committed in no particular order: sorting makes the list the same for every schedule.
  void ReportEvicted() {
    const uint64_t* sorted = scratch_.evicted;
    constexpr int kSlotBits = 31;
    if (num_evicted_ > 1) sorted = scratch_.sort.Run(scratch_.evicted, num_evicted_, kSlotBits, pool_);
    for (int64_t i = 0; i < num_evicted_; ++i) {
      args_.evicted[i] = static_cast<int32_t>(sorted[i] >> 32);
      args_.evicted_ids[i] = args_.slots.identities[args_.evicted[i]];
    }
    std::fill(args_.evicted + num_evicted_, args_.evicted + args_.batch.num_ids, -1);
    std::fill(args_.evicted_ids + num_evicted_, args_.evicted_ids + args_.batch.num_ids, kNoId);
  }

  void ReportCounters() {
    *args_.slots.occupancy += total_[Counter::kInserts] - total_[Counter::kEvictions];
    total_[Counter::kOccupancy] = *args_.slots.occupancy;
    std::copy(total_.counters, total_.counters + kNumCounters, args_.counters);
    *args_.evicted_age = static_cast<float>(total_.evicted_age);
  }

  const ZchInsertArgs& args_;
  const Pool& pool_;
  const int64_t grain_;
  const InsertSteps steps_;
  const Scratch scratch_;
  const std::vector<ZchTask> tasks_;
  Tally total_;
  int64_t num_evicted_ = 0;
};

}  // namespace

size_t ZchInsertScratchBytes(int64_t num_ids) {
  Arena arena(nullptr);
  Scratch scratch(num_ids, arena);
  return arena.used();
}

void ZchInsert(const ZchInsertArgs& args, const Pool& pool, int64_t grain) { Inserter(args, pool, grain).Run(); }

}  // namespace jaxtbe
