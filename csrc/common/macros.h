// Function qualifiers of code that the CPU and CUDA kernels share.
#pragma once

#if defined(__CUDACC__)
#define JAXTBE_HD __host__ __device__ __forceinline__
#else
// always_inline: the CPU kernels are compiled once per instruction set, and an out-of-line copy could be linked from
// the wrong one.
#define JAXTBE_HD inline __attribute__((always_inline))
#endif
