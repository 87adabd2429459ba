// The CUDA language as the kernels use it: the only header of csrc/cuda that tells nvcc from the emulation of
// tests/cuda_emulation, which compiles kernels with the host's compiler and runs them on the CPU.
//
//   JAXTBE_SHARED(T, name, n)   declares an array in shared memory
//   LaunchKernel(kernel, ...)   launches one, with its arguments last
//   JAXTBE_IS_GLOBAL(p)         promises that a pointer which was itself loaded is one to global memory: LDG, not LD
//   JAXTBE_LIMIT(real, small)   a size whose excess takes another path: small in the emulation, so that tests reach it
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

#if defined(JAXTBE_CUDA_EMULATION)

#include "tests/cuda_emulation/emulation.h"

#define JAXTBE_LIMIT(real, small) (small)
#define JAXTBE_IS_GLOBAL(p)

#else

#define JAXTBE_LIMIT(real, small) (real)

#include <cuda_runtime.h>

#if defined(__CUDACC__)

#define JAXTBE_SHARED(T, name, ...) __shared__ T name[__VA_ARGS__]
#define JAXTBE_IS_GLOBAL(p) __builtin_assume(__isGlobal(p))

namespace jaxtbe {

template <class... Params, class... Args>
cudaError_t LaunchKernel(void (*kernel)(Params...), dim3 grid, unsigned block, cudaStream_t stream, Args&&... args) {
  // clang-format off: it takes the brackets for shifts
  kernel<<<grid, block, 0, stream>>>(static_cast<Params>(args)...);
  // clang-format on
  return cudaGetLastError();  // and forget it: the next launch has a result of its own
}

}  // namespace jaxtbe

#endif
#endif
