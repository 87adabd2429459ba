// The backward in tasks: sort the occurrences, split them, and let each task visit the rows that begin in its part.
#pragma once

#include <algorithm>
#include <vector>

#include "csrc/common/arena.h"
#include "csrc/cpu/occurrences.h"

namespace jaxtbe {

class Backward {
 public:
  static constexpr int64_t kMaxTasks = 64;

  // Every task has a buffer of `buffer_floats` floats.
  Backward(int64_t capacity, int64_t buffer_floats, Arena& arena)
      : sorter_(capacity, arena),
        buffer_floats_((buffer_floats + 15) / 16 * 16),
        buffers_(arena.Take<float>(kMaxTasks * buffer_floats_)) {}

  void Sort(const Source* sources, int64_t num_sources, const SourceTable* tables, int64_t num_tables,
            const Pool& pool) {
    bases_.assign(num_tables + 1, 0);
    for (int64_t t = 0; t < num_tables; ++t) bases_[t + 1] = bases_[t] + tables[t].rows;
    rows_ = {tables, bases_.data(), num_tables, {}};
    rows_.occurrences = sorter_.Sort(sources, num_sources, tables, bases_.data(), num_tables, pool);
    num_tasks_ = NumParts(rows_.occurrences.count, 128, kMaxTasks);
  }

  const TouchedRows& rows() const { return rows_; }
  int64_t num_tasks() const { return num_tasks_; }

  // f(task, its part of the sorted occurrences, its buffer)
  template <class F>
  void ForEachTask(const Pool& pool, const F& f) const {
    ParallelFor(pool, num_tasks_, [&](int64_t task) {
      f(task, Part(rows_.occurrences.count, num_tasks_, task), buffers_ + task * buffer_floats_);
    });
  }

 private:
  OccurrenceSorter sorter_;
  int64_t buffer_floats_;
  float* buffers_;
  std::vector<int64_t> bases_;
  TouchedRows rows_ = {};
  int64_t num_tasks_ = 0;
};

}  // namespace jaxtbe
