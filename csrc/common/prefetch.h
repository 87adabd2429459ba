// Hints that memory will be needed soon. On CUDA nothing: there, other threads work while one waits.
#pragma once

#include "csrc/common/macros.h"

namespace jaxtbe {

#if defined(__CUDA_ARCH__)
JAXTBE_HD void Prefetch(const void*) {}
JAXTBE_HD void PrefetchForWrite(const void*) {}
#else
// The empty statement has a side effect in the eyes of the compiler. Without it, GCC takes a function that only
// prefetches for one that does nothing, and drops the call.
JAXTBE_HD void Prefetch(const void* p) {
  __builtin_prefetch(p);
  asm volatile("");
}
JAXTBE_HD void PrefetchForWrite(const void* p) {
  __builtin_prefetch(p, 1);
  asm volatile("");
}
#endif

}  // namespace jaxtbe
