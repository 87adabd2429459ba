// The CUDA language for a host compiler: kernels run on the CPU, one fiber for each CUDA thread, all on one OS thread.
// Force-included, as nvcc does with cuda_runtime.h. What is not here, kernels do not use: no cooperative groups, no
// __activemask.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "tests/cuda_emulation/scheduler.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))

struct uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
inline const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "invalid value"; }

#define threadIdx (jaxtbe::emulation::current->thread)
#define blockIdx (jaxtbe::emulation::current->block)
#define blockDim (jaxtbe::emulation::current->block_dim)
#define gridDim (jaxtbe::emulation::current->grid_dim)

// Shared memory: one heap block for each array, exactly as large, so that AddressSanitizer sees overruns.
#define JAXTBE_SHARED(T, name, ...) \
  static const char name##_key = 0; \
  T(&name)                          \
  [__VA_ARGS__] = *static_cast<T(*)[__VA_ARGS__]>(jaxtbe::emulation::SharedArray(&name##_key, sizeof(T[__VA_ARGS__])))

// Where a warp collective or barrier was called: for the reports of deadlocks.
#define JAXTBE_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define JAXTBE_SITE \
  jaxtbe::emulation::Site { file, line }

inline void __syncthreads(JAXTBE_CALLER) { jaxtbe::emulation::Barrier(JAXTBE_SITE); }
inline void __syncwarp(unsigned mask = ~0u, JAXTBE_CALLER) {
  jaxtbe::emulation::Collective(jaxtbe::emulation::Op::kSyncWarp, mask, 0, 0, 32, JAXTBE_SITE);
}
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, JAXTBE_CALLER) {
  using namespace jaxtbe::emulation;
  return FromBits<T>(Collective(Op::kShuffle, mask, ToBits(value), lane, width, JAXTBE_SITE));
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, JAXTBE_CALLER) {
  using namespace jaxtbe::emulation;
  return FromBits<T>(Collective(Op::kShuffleXor, mask, ToBits(value), lanes, width, JAXTBE_SITE));
}
inline unsigned __ballot_sync(unsigned mask, int predicate, JAXTBE_CALLER) {
  using namespace jaxtbe::emulation;
  return static_cast<unsigned>(Collective(Op::kBallot, mask, predicate != 0, 0, 32, JAXTBE_SITE));
}

// Atomics: relaxed, and each a moment at which another thread may run.
namespace jaxtbe::emulation {
template <class T, class F>
T ReadModifyWrite(T* p, F f) {
  MaybeSwitch();
  T before = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(p, &before, f(before), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return before;
}
template <class T>
struct Same {
  using Type = T;
};
}  // namespace jaxtbe::emulation

#define JAXTBE_ATOMIC(name, result)                                                                 \
  template <class T>                                                                                \
  T name(T* p, typename jaxtbe::emulation::Same<T>::Type x) {                                       \
    return jaxtbe::emulation::ReadModifyWrite(p, [x](T before) { return static_cast<T>(result); }); \
  }
JAXTBE_ATOMIC(atomicAdd, before + x)
JAXTBE_ATOMIC(atomicMin, std::min(before, x))
JAXTBE_ATOMIC(atomicMax, std::max(before, x))
#undef JAXTBE_ATOMIC

template <class T>
T atomicCAS(T* p, typename jaxtbe::emulation::Same<T>::Type expected,
            typename jaxtbe::emulation::Same<T>::Type desired) {
  jaxtbe::emulation::MaybeSwitch();
  T before = expected;
  __atomic_compare_exchange_n(p, &before, desired, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return before;
}

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(unsigned x) { return __builtin_ffs(static_cast<int>(x)); }

namespace jaxtbe {

namespace emulation {
template <class T>
T LoadRelaxed(const T* p) {
  MaybeSwitch();
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}
}  // namespace emulation

template <class... Params, class... Args>
cudaError_t LaunchKernel(void (*kernel)(Params...), dim3 grid, unsigned block, cudaStream_t, Args&&... args) {
  emulation::RunGrid(grid, block, [&] { kernel(static_cast<Params>(args)...); });
  return cudaSuccess;
}

}  // namespace jaxtbe
