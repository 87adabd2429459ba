// Arrays of one value.
#pragma once

#include "csrc/cuda/launch.h"

namespace jaxtbe {

// Grid: one thread for each number.
template <class T>
__global__ void FillKernel(T* out, int64_t count, T value) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) out[i] = value;
}

template <class T>
void Fill(Launcher& launch, T* out, int64_t count, T value) {
  launch.Run("FillKernel", FillKernel<T>, count, out, count, value);
}

}  // namespace jaxtbe
