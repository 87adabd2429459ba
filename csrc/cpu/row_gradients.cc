#include "csrc/cpu/ops.h"

#include <cstring>
#include <vector>

#include "csrc/cpu/backward.h"
#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace {

// How many rows of each table begin in `range`.
void CountRows(const TouchedRows& touched, Range range, int64_t* counts) {
  const SortedOccurrences& occurrences = touched.occurrences;
  int64_t t = 0;
  for (int64_t i = range.begin; i < range.end; ++i) {
    const uint32_t key = occurrences.Key(i);
    if (key >= occurrences.num_rows) return;
    if (i > 0 && occurrences.Key(i - 1) == key) continue;
    while (key >= touched.bases[t + 1]) ++t;
    ++counts[t];
  }
}

}  // namespace

size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim, int64_t /*num_tables*/) {
  Arena arena(nullptr);
  Backward(capacity, max_dim, arena);
  return arena.used();
}

void SquareNorms(const RowGradientsArgs& args, float* norms, const Pool& pool) {
  Arena arena(args.scratch);
  Backward backward(args.capacity, MaxDim(args.tables, args.num_tables), arena);
  backward.Sort(args.sources, args.num_sources, args.tables, args.num_tables, pool);
  // Each task's sums apart, then added in the order of the tasks.
  std::vector<double> sums(backward.num_tasks() * args.num_tables, 0.0);
  backward.ForEachTask(pool, [&](int64_t task, Range range, float* buffer) {
    BestKernels().square_norms(backward.rows(), range, buffer, sums.data() + task * args.num_tables);
  });
  for (int64_t t = 0; t < args.num_tables; ++t) {
    double sum = 0;
    for (int64_t task = 0; task < backward.num_tasks(); ++task) sum += sums[task * args.num_tables + t];
    norms[t] = static_cast<float>(sum);
  }
}

void RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, const Pool& pool) {
  Arena arena(args.scratch);
  const int64_t dim = MaxDim(args.tables, args.num_tables);
  Backward backward(args.capacity, dim, arena);
  backward.Sort(args.sources, args.num_sources, args.tables, args.num_tables, pool);

  std::vector<int64_t> counts(backward.num_tasks() * args.num_tables, 0);
  backward.ForEachTask(pool, [&](int64_t task, Range range, float*) {
    CountRows(backward.rows(), range, counts.data() + task * args.num_tables);
  });
  std::vector<int64_t> first(backward.num_tasks() + 1, 0);
  std::vector<int64_t> of_table(args.num_tables, 0);
  for (int64_t task = 0; task < backward.num_tasks(); ++task) {
    first[task + 1] = first[task];
    for (int64_t t = 0; t < args.num_tables; ++t) {
      const int64_t count = counts[task * args.num_tables + t];
      first[task + 1] += count;
      of_table[t] += count;
    }
  }
  out.starts[0] = 0;
  for (int64_t t = 0; t < args.num_tables; ++t) out.starts[t + 1] = out.starts[t] + static_cast<int32_t>(of_table[t]);

  backward.ForEachTask(pool, [&](int64_t task, Range range, float* buffer) {
    BestKernels().write_gradients(backward.rows(), range, buffer, out.rows + first[task],
                                  out.gradients + first[task] * dim);
  });
  const int64_t total = first[backward.num_tasks()];
  std::memset(out.rows + total, 0xff, sizeof(int32_t) * (args.capacity - total));
  std::memset(out.gradients + total * dim, 0, sizeof(float) * (args.capacity - total) * dim);
}

}  // namespace jaxtbe
