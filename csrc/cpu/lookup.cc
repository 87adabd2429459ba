#include "csrc/cpu/ops.h"

#include <cstring>
#include <vector>

#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace {

// A run of bags of one feature: what one task does.
struct Task {
  int64_t feature;
  Range samples;
};

std::vector<Task> SplitIntoTasks(const LookupArgs& args) {
  constexpr int64_t kSamplesPerTask = 64, kTasks = 64;
  const int64_t batch = args.bags.batch;
  const int64_t parts = NumParts(batch, kSamplesPerTask, std::max<int64_t>(1, kTasks / args.num_features));
  std::vector<Task> tasks;
  for (int64_t f = 0; f < args.num_features; ++f) {
    if (args.features[f].table < 0) continue;
    for (int64_t p = 0; p < parts; ++p) tasks.push_back({f, Part(batch, parts, p)});
  }
  return tasks;
}

}  // namespace

void Lookup(const LookupArgs& args, const Pool& pool) {
  const std::vector<Task> tasks = SplitIntoTasks(args);
  std::vector<Faults> faults(tasks.size());
  const auto lookup = BestKernels().lookup[static_cast<int>(args.dtype)];
  ParallelFor(pool, static_cast<int64_t>(tasks.size()),
              [&](int64_t i) { faults[i] = lookup(args, tasks[i].feature, tasks[i].samples); });

  std::vector<Faults> total(args.num_features);
  for (size_t i = 0; i < tasks.size(); ++i) total[tasks[i].feature].Append(faults[i]);
  for (int64_t f = 0; f < args.num_features; ++f) {
    args.faults[2 * f] = total[f].count;
    args.faults[2 * f + 1] = total[f].first;
  }
}

void IdWeightsGrad(const IdWeightsGradArgs& args, const Pool& pool) {
  const std::vector<Task> tasks = SplitIntoTasks(args.lookup);
  // Positions outside every bag, and those of features of other calls, stay zero.
  std::memset(args.d_id_weights, 0, sizeof(float) * args.lookup.bags.num_ids);
  const auto grad = BestKernels().id_weights_grad[static_cast<int>(args.lookup.dtype)];
  ParallelFor(pool, static_cast<int64_t>(tasks.size()),
              [&](int64_t i) { grad(args, tasks[i].feature, tasks[i].samples); });
}

}  // namespace jaxtbe
