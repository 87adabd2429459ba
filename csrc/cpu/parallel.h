// How kernels use threads: a Pool runs numbered tasks, in any order, and returns when all are done.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/common/range.h"

namespace jaxtbe {

// A reference to a callable void(int64_t), valid while the callable lives.
class TaskRef {
 public:
  template <class F>
  explicit TaskRef(const F& f) : object_(&f), call_([](const void* p, int64_t i) { (*static_cast<const F*>(p))(i); }) {}
  void operator()(int64_t i) const { call_(object_, i); }

 private:
  const void* object_;
  void (*call_)(const void*, int64_t);
};

class Pool {
 public:
  virtual ~Pool() = default;
  virtual void Run(int64_t num_tasks, TaskRef task) const = 0;
};

class SerialPool final : public Pool {
 public:
  void Run(int64_t num_tasks, TaskRef task) const override {
    for (int64_t i = 0; i < num_tasks; ++i) task(i);
  }
};

template <class F>
void ParallelFor(const Pool& pool, int64_t num_tasks, const F& task) {
  if (num_tasks == 1) return task(int64_t{0});
  if (num_tasks > 0) pool.Run(num_tasks, TaskRef(task));
}

// Enough parts that eight threads balance well, and none smaller than `grain`.
inline int64_t NumParts(int64_t n, int64_t grain, int64_t most = 64) { return std::clamp<int64_t>(n / grain, 1, most); }

}  // namespace jaxtbe
