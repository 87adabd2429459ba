// The loop of every backward: sums the gradient of each touched row once, and hands it to a visitor.
//
// A warp takes a chunk of 128 sorted contributions, however they fall into rows: the work is balanced under any skew. A
// row whose contributions lie within one chunk is visited at once. Of the others, each chunk leaves the sum of its
// part, and a second kernel adds up the parts in the order of the chunks. So the same additions happen in the same
// order on every run, with no atomics and no grid that depends on the data.
#pragma once

#include <algorithm>
#include <vector>

#include "csrc/cuda/columns.h"
#include "csrc/cuda/occurrences.h"

namespace jaxtbe {

constexpr int64_t kChunk = 128;
constexpr unsigned kBackwardBlock = 128;  // threads: small blocks leave fewer registers of an SM unused

// A row whose gradient is complete.
struct FinishedRow {
  int table;
  int64_t row;  // within the table
  int64_t dim;
  int64_t first;  // its first sorted position
};

// Scratch of a backward over rows of at most `max_dim` columns.
class BackwardScratch {
 public:
  // Warps that keep rows in memory: enough to fill a GPU, few enough that their scratch stays small.
  static constexpr int64_t kMemoryWarps = JAXTBE_LIMIT(1024, 2);

  BackwardScratch(int64_t capacity, int64_t max_dim, Arena& arena)
      : stride_((max_dim + 3) / 4 * 4),
        parts_(arena.Take<float>(2 * Chunks(capacity) * stride_)),
        rows_(arena.Take<float>(MemoryWarps(capacity) * kMaxRowArrays * stride_)) {}

  static int64_t Chunks(int64_t count) { return (count + kChunk - 1) / kChunk; }
  static int64_t MemoryWarps(int64_t count) { return std::min(Chunks(count), kMemoryWarps); }

  // Of each chunk two sums: of the row that began before it, and of the row that goes on after it.
  JAXTBE_HD float* Part(int64_t chunk, bool began_before) const {
    return parts_ + (2 * chunk + (began_before ? 0 : 1)) * stride_;
  }
  JAXTBE_HD float* Rows(int64_t warp) const { return rows_ + warp * kMaxRowArrays * stride_; }

 private:
  int64_t stride_;
  float* parts_;
  float* rows_;
};

// The chunk's contributions to one row: sorted positions [begin, end).
struct RunPart {
  int64_t begin, end;
  uint32_t key;
  bool began_before, goes_on;
};

// The part that begins at `begin`. All lanes call it and get the same.
__device__ __forceinline__ RunPart NextPart(const SortedOccurrences& sorted, int64_t begin, Range chunk) {
  const uint32_t key = sorted.keys[begin];
  const int lane = threadIdx.x % kWarp;
  int64_t end = begin + 1;
  for (;; end += kWarp) {
    const int64_t i = end + lane;
    const unsigned differs = __ballot_sync(kAllLanes, i >= chunk.end || sorted.keys[i] != key);
    if (differs == 0) continue;
    end += __ffs(differs) - 1;
    break;
  }
  const bool began_before = begin == chunk.begin && begin > 0 && sorted.keys[begin - 1] == key;
  const bool goes_on = end == chunk.end && end < sorted.count && sorted.keys[end] == key;
  return {begin, end, key, began_before, goes_on};
}

__device__ __forceinline__ int TableOf(const SortedOccurrences& sorted, uint32_t key) {
  int low = 0, high = sorted.num_tables - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (sorted.tables[middle].base <= key) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

// Which kernel of VisitChunks handles a table: the one whose columns fit it best.
template <class Columns>
JAXTBE_HD bool Handles(int64_t dim) {
  if (dim <= RegisterColumns<1>::kMaxDim) return Columns::kMaxDim == RegisterColumns<1>::kMaxDim;
  if (dim <= RegisterColumns<4>::kMaxDim) return Columns::kMaxDim == RegisterColumns<4>::kMaxDim;
  return !Columns::kInRegisters;
}

// g = the sum of a part's contributions, or the first or last of them alone.
template <class Columns>
__device__ __forceinline__ void SumPart(const Columns& columns, const SortedOccurrences& sorted, RunPart part,
                                        Duplicates duplicates, typename Columns::Floats& g) {
  if (duplicates == Duplicates::kFirst) part.end = part.begin + 1;
  if (duplicates == Duplicates::kLast) part.begin = part.end - 1;
  const OccurrenceGradient first = sorted.gradients[sorted.occurrences[part.begin]];
  // A single contribution is taken as it is: no arithmetic that could change a zero's sign.
  if (part.end == part.begin + 1 && first.coefficient == 1) return columns.LoadRow(first.row, g);
  columns.ForEach([&](auto i, auto) { g[i] = 0.0f; });
  if constexpr (Columns::kInRegisters) {
    constexpr int kAhead = Columns::kRowsAhead;
    for (int64_t p = part.begin; p < part.end; p += kAhead) {
      OccurrenceGradient c[kAhead];
      typename Columns::Floats rows[kAhead];
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (p + u < part.end) c[u] = sorted.gradients[sorted.occurrences[p + u]];
      }
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (p + u < part.end) columns.LoadRow(c[u].row, rows[u]);
      }
#pragma unroll
      for (int u = 0; u < kAhead; ++u) {
        if (p + u < part.end) columns.ForEach([&](int i, int) { g[i] = fmaf(c[u].coefficient, rows[u][i], g[i]); });
      }
    }
  } else {
    for (int64_t p = part.begin; p < part.end; ++p) {
      const OccurrenceGradient c = sorted.gradients[sorted.occurrences[p]];
      columns.ForEach([&](auto i, auto column) { g[i] = fmaf(c.coefficient, c.row[column], g[i]); });
    }
  }
}

// Visits the rows that lie within one chunk, and sums the parts of the others.
//
// Grid: one warp for each chunk; with memory columns kMemoryWarps warps, which take chunks in turn.
// Block: kBackwardBlock threads, each warp alone.
template <class Columns, class Visitor>
__global__ void __launch_bounds__(kBackwardBlock, Columns::MinBlocks(Visitor::kElementStates))
    VisitChunksKernel(SortedOccurrences sorted, Visitor visitor, BackwardScratch scratch, int64_t warps) {
  const int64_t warp = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (warp >= warps) return;
  for (int64_t c = warp; c * kChunk < sorted.count; c += warps) {
    const Range chunk = {c * kChunk, Clamp((c + 1) * kChunk, 0, sorted.count)};
    for (int64_t next = chunk.begin; next < chunk.end;) {
      const RunPart part = NextPart(sorted, next, chunk);
      next = part.end;
      if (part.key >= sorted.num_rows) return;  // nothing after it trains
      const int t = TableOf(sorted, part.key);
      const KeyedTable table = sorted.tables[t];
      if (!Handles<Columns>(table.dim)) continue;
      const Columns columns(table.dim, scratch.Rows(warp));
      typename Columns::Floats g = columns.Take(0);
      SumPart(columns, sorted, part, table.duplicates, g);
      if (part.began_before || part.goes_on) {
        columns.StoreRow(scratch.Part(c, part.began_before), [&](auto i, auto) { return g[i]; });
      } else {
        visitor.Visit(columns, g, FinishedRow{t, static_cast<int64_t>(part.key - table.base), table.dim, part.begin});
      }
    }
  }
}

// Visits the rows that go on past the end of the chunk in which they begin.
//
// Grid: at most kMemoryWarps warps, which take chunks in turn. Block: kBackwardBlock threads, each warp alone.
template <class Visitor>
__global__ void __launch_bounds__(kBackwardBlock, MemoryColumns::MinBlocks(Visitor::kElementStates))
    VisitCrossingRowsKernel(SortedOccurrences sorted, Visitor visitor, BackwardScratch scratch, int64_t warps) {
  const int64_t warp = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (warp >= warps) return;
  for (int64_t c = warp; (c + 1) * kChunk < sorted.count; c += warps) {
    const int64_t begin = c * kChunk, end = begin + kChunk;
    const uint32_t key = sorted.keys[end];
    if (key >= sorted.num_rows || sorted.keys[end - 1] != key) continue;
    if (begin > 0 && sorted.keys[begin - 1] == key) continue;  // it began earlier
    const int64_t last = (end + LowerBound(sorted.keys + end, sorted.count - end, key + 1) - 1) / kChunk;
    const int t = TableOf(sorted, key);
    const KeyedTable table = sorted.tables[t];
    const MemoryColumns columns(table.dim, scratch.Rows(warp));
    MemoryColumns::Floats g = columns.Take(0);
    const bool only_last = table.duplicates == Duplicates::kLast;
    const int64_t stop = table.duplicates == Duplicates::kFirst ? c : last;
    columns.ForEach([&](int64_t i, int64_t column) {
      float sum = only_last ? scratch.Part(last, true)[column] : scratch.Part(c, false)[column];
#pragma unroll 4
      for (int64_t q = only_last ? last + 1 : c + 1; q <= stop; ++q) sum += scratch.Part(q, true)[column];
      g[i] = sum;
    });
    const int64_t first = begin + LowerBound(sorted.keys + begin, kChunk, key);
    visitor.Visit(columns, g, FinishedRow{t, static_cast<int64_t>(key - table.base), table.dim, first});
  }
}

inline dim3 WarpGrid(int64_t warps) { return dim3(Blocks(warps * kWarp, kBackwardBlock)); }

template <class Columns, class Visitor>
void VisitChunks(Launcher& launch, const SortedOccurrences& sorted, const Visitor& visitor,
                 const BackwardScratch& scratch, int64_t warps) {
  launch.RunGrid("VisitChunksKernel", VisitChunksKernel<Columns, Visitor>, WarpGrid(warps), kBackwardBlock, sorted,
                 visitor, scratch, warps);
}

// Visits every touched row once. `dims`: of all tables.
template <class Visitor>
void VisitTouchedRows(Launcher& launch, const SortedOccurrences& sorted, const SourceTable* tables, int64_t num_tables,
                      const BackwardScratch& scratch, const Visitor& visitor) {
  const int64_t chunks = BackwardScratch::Chunks(sorted.count), few = BackwardScratch::MemoryWarps(sorted.count);
  const auto any = [&](auto handles) {
    return std::any_of(tables, tables + num_tables, [&](const SourceTable& table) { return handles(table.dim); });
  };
  if (any(Handles<RegisterColumns<1>>)) VisitChunks<RegisterColumns<1>>(launch, sorted, visitor, scratch, chunks);
  if (any(Handles<RegisterColumns<4>>)) VisitChunks<RegisterColumns<4>>(launch, sorted, visitor, scratch, chunks);
  if (any(Handles<MemoryColumns>)) VisitChunks<MemoryColumns>(launch, sorted, visitor, scratch, few);
  launch.RunGrid("VisitCrossingRowsKernel", VisitCrossingRowsKernel<Visitor>, WarpGrid(few), kBackwardBlock, sorted,
                 visitor, scratch, few);
}

}  // namespace jaxtbe
