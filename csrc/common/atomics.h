// Atomic operations on plain integers, all relaxed: what one pass writes is ordered before what the next pass reads by
// Pool::Run on the CPU, and by the order of kernels on CUDA.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

// 1 where CUDA's atomics are to be used: in device code, and in the emulation, which has them built in like nvcc.
#if defined(__CUDA_ARCH__) || defined(JAXTBE_CUDA_EMULATION)
#define JAXTBE_DEVICE_ATOMICS 1
#else
#define JAXTBE_DEVICE_ATOMICS 0
#endif

namespace jaxtbe {

#if JAXTBE_DEVICE_ATOMICS

// CUDA names its 64-bit atomics after `unsigned long long`.
template <class T>
struct AtomicWord {
  using Type = T;
};
template <>
struct AtomicWord<uint64_t> {
  using Type = unsigned long long;
};
template <class T>
JAXTBE_HD typename AtomicWord<T>::Type* AtomicPointer(T* p) {
  return reinterpret_cast<typename AtomicWord<T>::Type*>(p);
}

template <class T>
JAXTBE_HD T AtomicLoad(const T* p) {
#if defined(JAXTBE_CUDA_EMULATION)
  return emulation::LoadRelaxed(p);
#else
  return *static_cast<const volatile T*>(p);
#endif
}
template <class T>
JAXTBE_HD T AtomicAdd(T* p, T x) {
  return atomicAdd(AtomicPointer(p), x);
}
template <class T>
JAXTBE_HD bool AtomicReplace(T* p, T* expected, T desired) {
  const T before = atomicCAS(AtomicPointer(p), *expected, desired);
  const bool replaced = before == *expected;
  *expected = before;
  return replaced;
}
template <class T>
JAXTBE_HD void AtomicMax(T* p, T x) {
  atomicMax(AtomicPointer(p), x);
}
template <class T>
JAXTBE_HD void AtomicMin(T* p, T x) {
  atomicMin(AtomicPointer(p), x);
}

#else

template <class T>
JAXTBE_HD T AtomicLoad(const T* p) {
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}

template <class T>
JAXTBE_HD T AtomicAdd(T* p, T x) {
  return __atomic_fetch_add(p, x, __ATOMIC_RELAXED);
}

// Stores `desired` if `*p` is `*expected`; else sets `*expected` to what it is.
template <class T>
JAXTBE_HD bool AtomicReplace(T* p, T* expected, T desired) {
  return __atomic_compare_exchange_n(p, expected, desired, /*weak=*/false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// The loops end: each further turn means that the value has come closer to x or past it.
template <class T>
JAXTBE_HD void AtomicMax(T* p, T x) {
  T seen = AtomicLoad(p);
  while (seen < x && !AtomicReplace(p, &seen, x)) {
  }
}

template <class T>
JAXTBE_HD void AtomicMin(T* p, T x) {
  T seen = AtomicLoad(p);
  while (x < seen && !AtomicReplace(p, &seen, x)) {
  }
}

#endif

// Adds 1 to a counter that stays at the most that it can hold.
JAXTBE_HD void AtomicCount(int32_t* counter) {
  int32_t seen = AtomicLoad(counter);
  while (seen < INT32_MAX && !AtomicReplace(counter, &seen, seen + 1)) {
  }
}

}  // namespace jaxtbe
