#include "csrc/cpu/update.h"

#include <algorithm>
#include <vector>

#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace {

constexpr int64_t kTasks = 64;

int64_t BufferStride(int64_t max_dim) { return (kUpdateBuffers * max_dim + 15) / 16 * 16; }

}  // namespace

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim) {
  Arena arena(nullptr);
  OccurrenceSorter sorter(capacity, arena);
  arena.Take<float>(kTasks * BufferStride(max_dim));
  return arena.used();
}

void Update(const UpdateArgs& args, const Pool& pool) {
  std::vector<int64_t> bases(args.num_tables + 1, 0);
  std::vector<SourceTable> tables(args.num_tables);
  int64_t max_dim = 1;
  for (int64_t t = 0; t < args.num_tables; ++t) {
    tables[t] = {args.tables[t].rows, args.tables[t].dim};
    bases[t + 1] = bases[t] + tables[t].rows;
    max_dim = std::max(max_dim, tables[t].dim);
  }
  Arena arena(args.scratch);
  const OccurrenceSorter sorter(args.capacity, arena);
  float* buffers = arena.Take<float>(kTasks * BufferStride(max_dim));

  UpdateRun run = {args.dtype, args.tables, bases.data(), args.num_tables, {}};
  run.occurrences = sorter.Sort(args.sources, args.num_sources, tables.data(), bases.data(), args.num_tables, pool);
  const auto update = BestKernels().update[static_cast<int>(args.rule)];
  const int64_t n = run.occurrences.count, parts = NumParts(n, 128, kTasks);
  ParallelFor(pool, parts,
              [&](int64_t part) { update(run, Part(n, parts, part), buffers + part * BufferStride(max_dim)); });
}

}  // namespace jaxtbe
