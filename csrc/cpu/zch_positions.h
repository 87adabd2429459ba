// Which positions of a batch belong to one table, and how they are split into tasks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "csrc/common/zch/args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

// A run of positions of one feature.
struct ZchTask {
  Range positions;
  bool writes;
};

// In ascending order, and never overlapping, whatever the offsets hold.
inline std::vector<ZchTask> SplitPositions(const ZchBatch& batch, int64_t grain) {
  std::vector<ZchTask> tasks;
  int64_t end = 0;
  for (int64_t f = 0; f < batch.num_features; ++f) {
    const int64_t begin = std::clamp<int64_t>(batch.offsets[f * batch.batch], end, batch.num_ids);
    end = std::clamp<int64_t>(batch.offsets[(f + 1) * batch.batch], begin, batch.num_ids);
    const Access access = static_cast<Access>(batch.access[f]);
    if (access == Access::kOtherTable || begin == end) continue;
    const int64_t parts = NumParts(end - begin, grain);
    for (int64_t p = 0; p < parts; ++p) {
      const Range part = Part(end - begin, parts, p);
      tasks.push_back({{begin + part.begin, begin + part.end}, access != Access::kReadOnly});
    }
  }
  return tasks;
}

// Calls f(range) for the runs of positions that no task covers.
template <class F>
void ForEachGap(const std::vector<ZchTask>& tasks, int64_t num_ids, F f) {
  int64_t end = 0;
  for (const ZchTask& task : tasks) {
    if (task.positions.begin > end) f(Range{end, task.positions.begin});
    end = task.positions.end;
  }
  if (num_ids > end) f(Range{end, num_ids});
}

}  // namespace jaxtbe
