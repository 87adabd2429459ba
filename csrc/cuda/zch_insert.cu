#include "csrc/common/arena.h"
#include "csrc/common/zch/insert_steps.h"
#include "csrc/common/zch/settle.h"
#include "csrc/cuda/fill.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/sort.h"
#include "csrc/cuda/warp.h"
#include "csrc/cuda/zch_positions.h"

namespace jaxtbe {
namespace {

// Threads that look at a wide window together.
constexpr int kClaimThreads = JAXTBE_LIMIT(1024, 64);

// Sums over the batch. Of integers, so that they are the same in any order.
struct Totals {
  unsigned long long evicted_age;
  uint32_t num_evicted;
  uint32_t num_claimants;
};

// Pairs on their way through a sort: first of the missing ids, where they claim in order, then of the evicted slots.
struct SortedPairs {
  uint32_t *keys, *values, *sorted_keys, *sorted_values;  // [num_ids]
  size_t scratch_bytes;
  unsigned char* scratch;

  SortedPairs(int64_t num_ids, Arena& arena)
      : keys(arena.Take<uint32_t>(num_ids)),
        values(arena.Take<uint32_t>(num_ids)),
        sorted_keys(arena.Take<uint32_t>(num_ids)),
        sorted_values(arena.Take<uint32_t>(num_ids)),
        scratch_bytes(SortScratchBytes(num_ids)),
        scratch(arena.Take<unsigned char>(static_cast<int64_t>(scratch_bytes))) {}

  void Sort(Launcher& launch, int64_t count) const {
    SortPairs(launch, keys, values, count, 32, scratch, scratch_bytes, sorted_keys, sorted_values);
  }
};

struct Scratch {
  Totals* totals;
  int8_t* access;  // [num_ids], an Access each
  MissingId* missing;
  uint64_t* claims;
  SortedPairs pairs;

  Scratch(int64_t num_ids, Arena& arena)
      : totals(arena.Take<Totals>(1)),
        access(arena.Take<int8_t>(num_ids)),
        missing(arena.Take<MissingId>(MissingIds::Capacity(num_ids))),
        claims(arena.Take<uint64_t>(SlotClaims::Capacity(num_ids))),
        pairs(num_ids, arena) {}
};

// What all kernels of an insert share.
struct Insert {
  ZchInsertArgs args;
  Scratch scratch;

  __device__ __forceinline__ MissingIds missing() const {
    return MissingIds(scratch.missing, MissingIds::Capacity(args.batch.num_ids));
  }
  __device__ __forceinline__ SlotClaims claims() const {
    return SlotClaims(scratch.claims, SlotClaims::Capacity(args.batch.num_ids), missing(), args.rules.priority);
  }
  __device__ __forceinline__ SlotChooser chooser() const {
    return SlotChooser({args.slots.identities, args.slots.last_seen}, args.layout, args.rules.eviction, *args.now);
  }
  __device__ __forceinline__ InsertSteps steps() const { return {args, *args.now, *args.ttl}; }
  __device__ __forceinline__ bool Writes(int64_t n) const {
    const Access access = static_cast<Access>(scratch.access[n]);
    return steps().Writes(n, access != Access::kOtherTable && access != Access::kReadOnly);
  }
  // As insert_steps.h wants a tally: every thread counts in the result at once.
  __device__ __forceinline__ void Count(Counter counter) const {
    AtomicAdd(args.counters + static_cast<int>(counter), 1);
  }
  __device__ __forceinline__ void CountMiss() const {}
  __device__ __forceinline__ void CountUnsettled() const {}
  __device__ __forceinline__ void AddEvictedAge(int64_t age) const {
    atomicAdd(&scratch.totals->evicted_age, static_cast<unsigned long long>(age));
  }
};

__device__ __forceinline__ int64_t ThreadNumber() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

// Grid: one thread for each counter, or more.
__global__ void StartKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  if (i < kNumCounters) insert.args.counters[i] = 0;
  if (i == 0) *insert.scratch.totals = {0, 0, 0};
}

// Grid: one thread for each position.
__global__ void AccessKernel(Insert insert, const __grid_constant__ AccessBatch access, int64_t first) {
  const int64_t n = ThreadNumber();
  if (n >= insert.args.batch.num_ids) return;
  const Access found = AccessAt(insert.args.batch, access, first, n);
  if (found != Access::kOtherTable) insert.scratch.access[n] = static_cast<int8_t>(found);
}

// Refreshes every id that is in its window.
//
// Grid: one thread for each position.
__global__ void SettleHitsKernel(Insert insert) {
  const ZchInsertArgs& args = insert.args;
  const int64_t n = ThreadNumber();
  if (n >= args.batch.num_ids) return;
  const uint64_t id = args.batch.ids[n];
  if (static_cast<Access>(insert.scratch.access[n]) == Access::kOtherTable) {
    return insert.steps().Report(n, -1, Outcome::kNoId);
  }
  if (!insert.Writes(n)) return;
  const int32_t slot = id == kNoId ? -1 : Locate(args.slots.identities, args.layout, args.layout.WindowOf(id), id);
  insert.steps().SettleHit(n, id, slot, insert);
}

// Grid: one thread for each entry of the missing ids, which outnumber the claims' blocks of eight.
__global__ void ClearKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  const MissingIds missing = insert.missing();
  const SlotClaims claims = insert.claims();
  if (i < missing.capacity()) missing.Clear(i, i + 1);
  for (int64_t k = i; k < claims.capacity(); k += int64_t{gridDim.x} * blockDim.x) claims.Clear(k, k + 1);
}

// Gathers the distinct missing ids, and protects the slots of hits.
//
// Grid: one thread for each position.
__global__ void CollectMissesKernel(Insert insert) {
  const int64_t n = ThreadNumber();
  if (n >= insert.args.batch.num_ids || !insert.Writes(n)) return;
  const InsertSteps steps = insert.steps();
  if (steps.Is(n, Outcome::kFailed)) {
    steps.CollectMiss(n, insert.missing());
  } else if (steps.Is(n, Outcome::kHit) && steps.NeedsProtection(n)) {
    insert.claims().Protect(insert.args.rows[n]);
  }
}

// Deferred acceptance: see csrc/common/zch/settle.h.
//
// Grid: one thread for each entry of the missing ids.
__global__ void MakeClaimsKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  const MissingIds missing = insert.missing();
  if (i >= missing.capacity()) return;
  const uint32_t index = static_cast<uint32_t>(i);
  if (missing[index].id == kNoId) return;
  if (!insert.steps().IsAdmitted(missing[index])) return insert.Count(Counter::kUnadmitted);
  const ProbeLayout& layout = insert.args.layout;
  const SlotChooser chooser = insert.chooser();
  const Claimant claimant = ClaimantOf(missing, layout, index);
  Choice choice = BeforeFirst();
  const bool settled = chooser.Next(claimant, &choice) &&
                       Settle(chooser, layout, missing, insert.claims(), {index, chooser.SlotOf(claimant, choice)});
  // In a failing chain some id is left without a slot; which one may be known only when all claims are made.
  if (!settled) insert.Count(Counter::kFailures);
}

// Lists the missing ids that may claim a slot, in any order, with the first key that sorts them: the position, or the
// lower half of the id.
//
// Grid: one thread for each entry of the missing ids.
__global__ void ListClaimantsKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  const MissingIds missing = insert.missing();
  if (i >= missing.capacity()) return;
  const MissingId& entry = missing[static_cast<uint32_t>(i)];
  if (entry.id == kNoId) return;
  if (!insert.steps().IsAdmitted(entry)) return insert.Count(Counter::kUnadmitted);
  const uint32_t place = AtomicAdd(&insert.scratch.totals->num_claimants, uint32_t{1});
  const bool by_position = insert.args.rules.priority == Priority::kFirst;
  insert.scratch.pairs.keys[place] = by_position ? entry.first : static_cast<uint32_t>(entry.id);
  insert.scratch.pairs.values[place] = static_cast<uint32_t>(i);
}

// The second key: the upper half of the id, as a signed number. What stands behind the claimants stays there, because
// it has the largest key and sorts are stable.
//
// Grid: one thread for each place of the list.
__global__ void UpperHalvesKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  if (i >= insert.args.batch.num_ids) return;
  const SortedPairs& pairs = insert.scratch.pairs;
  const bool claims = i < insert.scratch.totals->num_claimants;
  const uint32_t index = pairs.sorted_values[i];
  pairs.values[i] = index;
  pairs.keys[i] = claims ? static_cast<uint32_t>(insert.missing()[index].id >> 32) ^ 0x80000000u : ~uint32_t{0};
}

// Claims of wide windows with LRU, one after another in order of precedence. So nobody is ever displaced, and every id
// looks at its window once.
//
// Grid: one block of kClaimThreads, which look at the window of one id together. Shared: the best rank of each warp.
__global__ void __launch_bounds__(kClaimThreads) ClaimInOrderKernel(Insert insert) {
  JAXTBE_SHARED(uint64_t, ranks, kClaimThreads / kWarp);
  const MissingIds missing = insert.missing();
  const SlotClaims claims = insert.claims();
  const SlotChooser chooser = insert.chooser();
  const uint32_t count = insert.scratch.totals->num_claimants;
  int32_t failures = 0;
  for (uint32_t k = 0; k < count; ++k) {
    const uint32_t index = insert.scratch.pairs.sorted_values[k];
    const Claimant claimant = ClaimantOf(missing, insert.args.layout, index);
    uint64_t best =
        chooser.BestRank(claimant, threadIdx.x, kClaimThreads, [&](int32_t slot) { return claims.IsFree(slot); });
    best = WarpLeast(best);
    if (threadIdx.x % kWarp == 0) ranks[threadIdx.x / kWarp] = best;
    __syncthreads();
    if (threadIdx.x == 0) {
      for (int w = 1; w < kClaimThreads / kWarp; ++w) best = ranks[w] < best ? ranks[w] : best;
      const int32_t slot = chooser.SlotOfRank(claimant, best);
      if (slot < 0) {
        ++failures;
      } else {
        claims.Offer(slot, index);
      }
    }
    __syncthreads();  // the claim is made, and the ranks were read
  }
  if (threadIdx.x == 0) AtomicAdd(insert.args.counters + static_cast<int>(Counter::kFailures), failures);
}

// Gives the slots to those who hold the final claims.
//
// Grid: one thread for each entry of the claims.
__global__ void CommitClaimsKernel(Insert insert) {
  const int64_t i = ThreadNumber();
  const SlotClaims claims = insert.claims();
  if (i >= claims.capacity()) return;
  const MissingIds missing = insert.missing();
  claims.ForEachWinner(i, i + 1, [&](int32_t slot, uint32_t index) {
    if (!insert.steps().Commit(slot, missing[index], insert)) return;
    insert.scratch.pairs.keys[AtomicAdd(&insert.scratch.totals->num_evicted, uint32_t{1})] =
        static_cast<uint32_t>(slot);
  });
}

// Grid: one thread for each position.
__global__ void ReportMissesKernel(Insert insert) {
  const int64_t n = ThreadNumber();
  if (n >= insert.args.batch.num_ids || !insert.Writes(n)) return;
  const InsertSteps steps = insert.steps();
  if (!steps.Is(n, Outcome::kFailed)) return;
  steps.ReportMiss(n, insert.missing()[static_cast<uint32_t>(insert.args.rows[n])]);
}

// Positions that do not write see the table as it is after the batch.
//
// Grid: one thread for each position.
__global__ void ResolveReadsKernel(Insert insert) {
  const ZchInsertArgs& args = insert.args;
  const int64_t n = ThreadNumber();
  if (n >= args.batch.num_ids || insert.Writes(n)) return;
  if (static_cast<Access>(insert.scratch.access[n]) == Access::kOtherTable) return;
  const uint64_t id = args.batch.ids[n];
  const int32_t slot = id == kNoId ? -1 : Locate(args.slots.identities, args.layout, args.layout.WindowOf(id), id);
  insert.steps().ResolveRead(n, id, slot, insert);
}

// Claims are committed in no particular order: the list is sorted, with all ones after its end.
//
// Grid: one thread for each position; the first also does the sums.
__global__ void ReportKernel(Insert insert) {
  const ZchInsertArgs& args = insert.args;
  const int64_t i = ThreadNumber();
  const Totals totals = *insert.scratch.totals;
  if (i < args.batch.num_ids) {
    const bool evicted = i < totals.num_evicted;
    args.evicted[i] = evicted ? static_cast<int32_t>(insert.scratch.pairs.sorted_keys[i]) : -1;
    args.evicted_ids[i] = evicted ? args.slots.identities[insert.scratch.pairs.sorted_keys[i]] : kNoId;
  }
  if (i != 0) return;
  *args.slots.occupancy +=
      args.counters[static_cast<int>(Counter::kInserts)] - args.counters[static_cast<int>(Counter::kEvictions)];
  args.counters[static_cast<int>(Counter::kOccupancy)] = *args.slots.occupancy;
  *args.evicted_age = static_cast<float>(static_cast<int64_t>(totals.evicted_age));
}

// Sorts the claimants by precedence, and lets them claim.
void MakeClaimsInOrder(Launcher& launch, const Insert& insert) {
  const SortedPairs& pairs = insert.scratch.pairs;
  const int64_t count = insert.args.batch.num_ids;
  Fill(launch, pairs.keys, count, ~uint32_t{0});
  Fill(launch, pairs.values, count, uint32_t{0});
  launch.Run("ListClaimantsKernel", ListClaimantsKernel, MissingIds::Capacity(count), insert);
  pairs.Sort(launch, count);
  if (insert.args.rules.priority == Priority::kId) {
    launch.Run("UpperHalvesKernel", UpperHalvesKernel, count, insert);
    pairs.Sort(launch, count);
  }
  launch.RunGrid("ClaimInOrderKernel", ClaimInOrderKernel, dim3(1), kClaimThreads, insert);
}

}  // namespace

size_t ZchInsertScratchBytes(int64_t num_ids) {
  Arena arena(nullptr);
  Scratch(num_ids, arena);
  return arena.used();
}

// The passes of the insert of csrc/cpu/zch_insert.cc, each a kernel.
LaunchStatus ZchInsert(const ZchInsertArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  Arena arena(args.scratch);
  const int64_t count = args.batch.num_ids;
  const Insert insert = {args, Scratch(count, arena)};
  const int64_t entries = MissingIds::Capacity(count);
  launch.Run("StartKernel", StartKernel, kNumCounters, insert);
  Fill(launch, insert.scratch.access, count, static_cast<int8_t>(Access::kOtherTable));
  const std::vector<int8_t> access = AccessOf(args.batch);
  ForEachBatch(access.data(), static_cast<int64_t>(access.size()), [&](const AccessBatch& some, int64_t first) {
    launch.Run("AccessKernel", AccessKernel, count, insert, some, first);
  });
  launch.Run("SettleHitsKernel", SettleHitsKernel, count, insert);
  launch.Run("ClearKernel", ClearKernel, entries, insert);
  launch.Run("CollectMissesKernel", CollectMissesKernel, count, insert);
  if (ClaimsInOrder(args.rules.eviction, args.layout)) {
    MakeClaimsInOrder(launch, insert);
  } else {
    launch.Run("MakeClaimsKernel", MakeClaimsKernel, entries, insert);
  }
  const SortedPairs& evicted = insert.scratch.pairs;
  const bool evicts = args.rules.eviction != Eviction::kNone;
  if (evicts) {
    Fill(launch, evicted.keys, count, ~uint32_t{0});
    Fill(launch, evicted.values, count, uint32_t{0});
  }
  launch.Run("CommitClaimsKernel", CommitClaimsKernel, SlotClaims::Capacity(count), insert);
  launch.Run("ReportMissesKernel", ReportMissesKernel, count, insert);
  launch.Run("ResolveReadsKernel", ResolveReadsKernel, count, insert);
  if (evicts) evicted.Sort(launch, count);
  launch.Run("ReportKernel", ReportKernel, count > 0 ? count : 1, insert);
  return launch.status();
}

}  // namespace jaxtbe
