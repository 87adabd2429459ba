// A sequence of kernels on one stream: the first that cannot be launched ends it and is named.
#pragma once

#include <utility>

#include "csrc/cuda/device.h"

namespace jaxtbe {

struct LaunchStatus {
  const char* kernel = "";
  cudaError_t error = cudaSuccess;
};

constexpr int kWarp = 32;
constexpr unsigned kAllLanes = ~0u;
constexpr unsigned kBlock = 256;  // default threads per block

inline unsigned Blocks(int64_t threads, int64_t block = kBlock) {
  return static_cast<unsigned>((threads + block - 1) / block);
}

class Launcher {
 public:
  explicit Launcher(cudaStream_t stream) : stream_(stream) {}

  // One thread, or one warp, for each of `threads` / 32 items: no kernel runs where there is no item.
  template <class Kernel, class... Args>
  void Run(const char* name, Kernel kernel, int64_t threads, Args&&... args) {
    RunGrid(name, kernel, dim3(Blocks(threads)), kBlock, std::forward<Args>(args)...);
  }
  template <class Kernel, class... Args>
  void RunGrid(const char* name, Kernel kernel, dim3 grid, unsigned block, Args&&... args) {
    if (status_.error != cudaSuccess || grid.x == 0 || grid.y == 0) return;
    Check(name, LaunchKernel(kernel, grid, block, stream_, std::forward<Args>(args)...));
  }

  void Check(const char* name, cudaError_t error) {
    if (status_.error == cudaSuccess && error != cudaSuccess) status_ = {name, error};
  }

  bool ok() const { return status_.error == cudaSuccess; }
  cudaStream_t stream() const { return stream_; }
  LaunchStatus status() const { return status_; }

 private:
  cudaStream_t stream_;
  LaunchStatus status_;
};

}  // namespace jaxtbe
