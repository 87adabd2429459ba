// A Pool that starts its threads anew for every pass: slow, and a different schedule each time.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "csrc/cpu/parallel.h"

namespace jaxtbe {

class TestPool final : public Pool {
 public:
  explicit TestPool(int threads) : threads_(threads) {}

  void Run(int64_t num_tasks, TaskRef task) const override {
    std::atomic<int64_t> next{0};
    const auto drain = [&] {
      for (int64_t i; (i = next.fetch_add(1)) < num_tasks;) task(i);
    };
    std::vector<std::thread> threads;
    for (int t = 1; t < threads_; ++t) threads.emplace_back(drain);
    drain();
    for (std::thread& thread : threads) thread.join();
  }

 private:
  int threads_;
};

}  // namespace jaxtbe
