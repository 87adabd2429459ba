#include "csrc/cuda/backward.h"
#include "csrc/cuda/fill.h"
#include "csrc/cuda/ops.h"

namespace jaxtbe {
namespace {

constexpr int kScanThreads = 256;

struct Scratch {
  OccurrenceSorter sorter;
  BackwardScratch backward;
  float* squares;        // [capacity]: of each row, at its first sorted position
  int32_t* ranks;        // [capacity]: how many rows begin before each sorted position
  int32_t* chunk_ranks;  // [chunks + 1]: and before each chunk

  Scratch(const RowGradientsArgs& args, int64_t max_dim, Arena& arena)
      : sorter(args.capacity, args.num_tables, arena),
        backward(args.capacity, max_dim, arena),
        squares(arena.Take<float>(args.capacity)),
        ranks(arena.Take<int32_t>(args.capacity)),
        chunk_ranks(arena.Take<int32_t>(BackwardScratch::Chunks(args.capacity) + 1)) {}
};

struct SquareVisitor {
  static constexpr int kElementStates = 0;
  float* squares;
  template <class Columns>
  __device__ __forceinline__ void Visit(const Columns& columns, const typename Columns::Floats& g,
                                        const FinishedRow& touched) const {
    float sum = 0.0f;
    columns.ForEach([&](auto i, auto) { sum = fmaf(g[i], g[i], sum); });
    sum = WarpSum(sum);
    if (threadIdx.x % kWarp == 0) squares[touched.first] = sum;
  }
};

struct WriteVisitor {
  static constexpr int kElementStates = 0;
  const int32_t* ranks;
  RowGradientsOutput out;
  template <class Columns>
  __device__ __forceinline__ void Visit(const Columns& columns, const typename Columns::Floats& g,
                                        const FinishedRow& touched) const {
    const int64_t rank = ranks[touched.first];
    if (threadIdx.x % kWarp == 0) out.rows[rank] = static_cast<int32_t>(touched.row);
    columns.StoreRow(out.gradients + rank * touched.dim, [&](auto i, auto) { return g[i]; });
  }
};

// Adds up the squares of one table's rows: each thread every kScanThreads-th, then a tree.
//
// Grid: one block of kScanThreads for each table. Shared: one sum a thread.
__global__ void NormsKernel(SortedOccurrences sorted, const float* squares, float* norms) {
  JAXTBE_SHARED(double, sums, kScanThreads);
  const KeyedTable& table = sorted.tables[blockIdx.x];
  const int64_t begin = LowerBound(sorted.keys, sorted.count, table.base);
  const int64_t end = LowerBound(sorted.keys, sorted.count, static_cast<uint32_t>(table.base + table.rows));
  double sum = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += kScanThreads) sum += squares[i];
  sums[threadIdx.x] = sum;
  for (int half = kScanThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  if (threadIdx.x == 0) norms[blockIdx.x] = static_cast<float>(sums[0]);
}

// Whether a row begins at sorted position i.
__device__ __forceinline__ bool Begins(const SortedOccurrences& sorted, int64_t i) {
  if (i >= sorted.count || sorted.keys[i] >= sorted.num_rows) return false;
  return i == 0 || sorted.keys[i - 1] != sorted.keys[i];
}

// Counts the rows that begin in each chunk.
//
// Grid: one warp for each chunk.
__global__ void CountRowsKernel(SortedOccurrences sorted, int64_t chunks, int32_t* counts) {
  const int64_t chunk = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (chunk >= chunks) return;
  const int lane = threadIdx.x % kWarp;
  int count = 0;
  for (int64_t i = chunk * kChunk; i < (chunk + 1) * kChunk; i += kWarp) {
    count += __popc(__ballot_sync(kAllLanes, Begins(sorted, i + lane)));
  }
  if (lane == 0) counts[chunk] = count;
}

// Turns counts[chunks] into their exclusive sums, with the total at the end.
//
// Grid: one block of kScanThreads, each thread a run of chunks. Shared: the sum of each run.
__global__ void ScanKernel(int32_t* counts, int64_t chunks) {
  JAXTBE_SHARED(int32_t, sums, kScanThreads);
  const Range mine = Part(chunks, kScanThreads, threadIdx.x);
  int32_t sum = 0;
  for (int64_t i = mine.begin; i < mine.end; ++i) sum += counts[i];
  sums[threadIdx.x] = sum;
  __syncthreads();
  int32_t before = 0;
  for (unsigned k = 0; k < threadIdx.x; ++k) before += sums[k];
  for (int64_t i = mine.begin; i < mine.end; ++i) {
    const int32_t count = counts[i];
    counts[i] = before;
    before += count;
  }
  if (threadIdx.x == kScanThreads - 1) counts[chunks] = before;
}

// How many rows begin before each position.
//
// Grid: one warp for each chunk.
__global__ void RankRowsKernel(SortedOccurrences sorted, int64_t chunks, const int32_t* chunk_ranks, int32_t* ranks) {
  const int64_t chunk = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (chunk >= chunks) return;
  const int lane = threadIdx.x % kWarp;
  int32_t rank = chunk_ranks[chunk];
  for (int64_t i = chunk * kChunk; i < (chunk + 1) * kChunk; i += kWarp) {
    const unsigned begins = __ballot_sync(kAllLanes, Begins(sorted, i + lane));
    if (i + lane < sorted.count) ranks[i + lane] = rank + __popc(begins & ((1u << lane) - 1));
    rank += __popc(begins);
  }
}

// Where the rows of each table begin among all touched rows.
//
// Grid: one thread for each table, and one for the end.
__global__ void StartsKernel(SortedOccurrences sorted, int64_t chunks, const int32_t* chunk_ranks, const int32_t* ranks,
                             int32_t* starts) {
  const int t = blockIdx.x * blockDim.x + threadIdx.x;
  if (t > sorted.num_tables) return;
  const uint32_t base = t < sorted.num_tables ? sorted.tables[t].base : sorted.num_rows;
  const int64_t i = LowerBound(sorted.keys, sorted.count, base);
  starts[t] = i < sorted.count ? ranks[i] : chunk_ranks[chunks];
}

SortedOccurrences Sort(Launcher& launch, const Scratch& scratch, const RowGradientsArgs& args) {
  return scratch.sorter.Sort(launch, args.sources, args.num_sources, args.tables, args.num_tables);
}

}  // namespace

size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables) {
  RowGradientsArgs args = {};
  args.capacity = capacity;
  args.num_tables = num_tables;
  Arena arena(nullptr);
  Scratch(args, max_dim, arena);
  return arena.used();
}

LaunchStatus SquareNorms(const RowGradientsArgs& args, float* norms, cudaStream_t stream) {
  Launcher launch(stream);
  Arena arena(args.scratch);
  const Scratch scratch(args, MaxDim(args.tables, args.num_tables), arena);
  const SortedOccurrences sorted = Sort(launch, scratch, args);
  Fill(launch, scratch.squares, args.capacity, 0.0f);
  VisitTouchedRows(launch, sorted, args.tables, args.num_tables, scratch.backward, SquareVisitor{scratch.squares});
  launch.RunGrid("NormsKernel", NormsKernel, dim3(static_cast<unsigned>(args.num_tables)), kScanThreads, sorted,
                 scratch.squares, norms);
  return launch.status();
}

LaunchStatus RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, cudaStream_t stream) {
  Launcher launch(stream);
  Arena arena(args.scratch);
  const int64_t dim = MaxDim(args.tables, args.num_tables), chunks = BackwardScratch::Chunks(args.capacity);
  const Scratch scratch(args, dim, arena);
  const SortedOccurrences sorted = Sort(launch, scratch, args);
  launch.Run("CountRowsKernel", CountRowsKernel, chunks * kWarp, sorted, chunks, scratch.chunk_ranks);
  launch.RunGrid("ScanKernel", ScanKernel, dim3(1), kScanThreads, scratch.chunk_ranks, chunks);
  launch.Run("RankRowsKernel", RankRowsKernel, chunks * kWarp, sorted, chunks, scratch.chunk_ranks, scratch.ranks);
  launch.Run("StartsKernel", StartsKernel, args.num_tables + 1, sorted, chunks, scratch.chunk_ranks, scratch.ranks,
             out.starts);
  Fill(launch, out.rows, args.capacity, -1);
  Fill(launch, out.gradients, args.capacity * dim, 0.0f);
  VisitTouchedRows(launch, sorted, args.tables, args.num_tables, scratch.backward, WriteVisitor{scratch.ranks, out});
  return launch.status();
}

}  // namespace jaxtbe
