// Atomic operations on plain integers, all relaxed: Pool::Run orders what one pass writes before what the next pass
// reads.
#pragma once

#include <cstdint>

namespace jaxtbe {

template <class T>
T AtomicLoad(const T* p) {
  return __atomic_load_n(p, __ATOMIC_RELAXED);
}

template <class T>
T AtomicAdd(T* p, T x) {
  return __atomic_fetch_add(p, x, __ATOMIC_RELAXED);
}

// Stores `desired` if `*p` is `*expected`; else sets `*expected` to what it is.
template <class T>
bool AtomicReplace(T* p, T* expected, T desired) {
  return __atomic_compare_exchange_n(p, expected, desired, /*weak=*/false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// The loops end: each further turn means that the value has come closer to x or past it.
template <class T>
void AtomicMax(T* p, T x) {
  T seen = AtomicLoad(p);
  while (seen < x && !AtomicReplace(p, &seen, x)) {
  }
}

template <class T>
void AtomicMin(T* p, T x) {
  T seen = AtomicLoad(p);
  while (x < seen && !AtomicReplace(p, &seen, x)) {
  }
}

}  // namespace jaxtbe
