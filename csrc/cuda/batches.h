// Descriptors on their way into kernels: by value, so that no copy is needed that a CUDA graph would repeat from a
// place on the host which is long gone.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/cuda/launch.h"

namespace jaxtbe {

// Kernel parameters may take 4 KB on every architecture. Some of it is left for other parameters.
constexpr int64_t kDescriptorBytes = JAXTBE_LIMIT(3584, 128);

template <class T>
struct Descriptors {
  static constexpr int64_t kMost = kDescriptorBytes / sizeof(T);
  T items[kMost];
  int count;
};

// Calls f(descriptors, index of the first) for as many at once as fit.
template <class T, class F>
void ForEachBatch(const T* items, int64_t count, F f) {
  for (int64_t first = 0; first < count; first += Descriptors<T>::kMost) {
    Descriptors<T> batch;
    batch.count = static_cast<int>(std::min<int64_t>(Descriptors<T>::kMost, count - first));
    std::copy(items + first, items + first + batch.count, batch.items);
    f(batch, first);
  }
}

// Grid: one thread for each descriptor.
template <class T>
__global__ void StoreDescriptorsKernel(const __grid_constant__ Descriptors<T> batch, T* out) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < batch.count) out[i] = batch.items[i];
}

// Writes any number of descriptors to `out` on the device.
template <class T>
void StoreDescriptors(Launcher& launch, const T* items, int64_t count, T* out) {
  ForEachBatch(items, count, [&](const Descriptors<T>& batch, int64_t first) {
    launch.Run("StoreDescriptorsKernel", StoreDescriptorsKernel<T>, batch.count, batch, out + first);
  });
}

}  // namespace jaxtbe
