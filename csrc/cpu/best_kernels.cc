#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace {

const Kernels& Choose() {
#if defined(JAXTBE_HAVE_avx512) || defined(JAXTBE_HAVE_avx2)
  __builtin_cpu_init();
#endif
#ifdef JAXTBE_HAVE_avx512
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd")) {
    return avx512::kKernels;
  }
#endif
#ifdef JAXTBE_HAVE_avx2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kKernels;
#endif
  return baseline::kKernels;
}

}  // namespace

const Kernels& BestKernels() {
  static const Kernels& best = Choose();
  return best;
}

}  // namespace jaxtbe
