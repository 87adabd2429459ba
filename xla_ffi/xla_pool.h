// XLA's thread pool as the kernels' Pool.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>

#include "csrc/cpu/parallel.h"
#include "xla/ffi/api/ffi.h"

namespace jaxtbe {

namespace ffi = xla::ffi;

class XlaPool final : public Pool {
 public:
  explicit XlaPool(xla::ffi::ThreadPool& threads) : threads_(threads) {}

  // The calling thread works too, so this cannot deadlock, even in a pool of one thread that is busy.
  void Run(int64_t num_tasks, TaskRef task) const override {
    const int64_t workers = std::min<int64_t>(num_tasks, threads_.num_threads()) - 1;
    auto work = std::make_shared<Work>(num_tasks, task);
    for (int64_t i = 0; i < workers; ++i) threads_.Schedule([work] { work->Drain(); });
    work->Drain();
    work->Wait();
  }

 private:
  // Shared with workers that may start after Run has returned; those find no task left.
  class Work {
   public:
    Work(int64_t num_tasks, TaskRef task) : num_tasks_(num_tasks), task_(task) {}

    void Drain() {
      int64_t finished = 0;
      for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < num_tasks_; ++finished) task_(i);
      if (finished == 0) return;
      if (done_.fetch_add(finished, std::memory_order_acq_rel) + finished == num_tasks_) {
        std::lock_guard<std::mutex> lock(mutex_);
        all_done_.notify_one();
      }
    }

    void Wait() {
      if (done_.load(std::memory_order_acquire) == num_tasks_) return;
      std::unique_lock<std::mutex> lock(mutex_);
      all_done_.wait(lock, [this] { return done_.load(std::memory_order_acquire) == num_tasks_; });
    }

   private:
    const int64_t num_tasks_;
    const TaskRef task_;
    std::atomic<int64_t> next_{0}, done_{0};
    std::mutex mutex_;
    std::condition_variable all_done_;
  };

  xla::ffi::ThreadPool& threads_;
};

}  // namespace jaxtbe
