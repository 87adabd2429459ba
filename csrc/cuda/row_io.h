// Elements of rows as float32, moved 16 bytes at a time where they lie so.
#pragma once

#include <cstring>

#include "csrc/common/half.h"
#include "csrc/cuda/device.h"

namespace jaxtbe {

template <class T>
constexpr int kPerLoad = 16 / sizeof(T);  // elements of one 16-byte load

template <int n>
struct Floats {
  float v[n];
};

// Whether n elements of T at p can move as one word of up to 16 bytes.
template <int n, class T>
JAXTBE_HD bool IsAligned(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % (n * sizeof(T)) == 0;
}

template <int bytes>
struct WordOf;
template <>
struct WordOf<16> {
  using Type = uint4;
};
template <>
struct WordOf<8> {
  using Type = uint2;
};
template <>
struct WordOf<4> {
  using Type = uint32_t;
};
template <>
struct WordOf<2> {
  using Type = uint16_t;
};

// n elements by one load. p is aligned to their size.
template <int n, class T>
__device__ __forceinline__ Floats<n> LoadWord(const T* p) {
  const auto word = *reinterpret_cast<const typename WordOf<n * sizeof(T)>::Type*>(p);
  T elements[n];
  memcpy(elements, &word, sizeof word);
  Floats<n> out;
#pragma unroll
  for (int k = 0; k < n; ++k) out.v[k] = ToFloat(elements[k]);
  return out;
}

template <int n, class T>
__device__ __forceinline__ void StoreWord(T* p, const T (&elements)[n]) {
  typename WordOf<n * sizeof(T)>::Type word;
  memcpy(&word, elements, sizeof word);
  *reinterpret_cast<typename WordOf<n * sizeof(T)>::Type*>(p) = word;
}

// n floats, 4 at a time where `aligned` says so.
template <int n>
__device__ __forceinline__ void StoreFloats(float* p, const Floats<n>& x, bool aligned) {
  if constexpr (n % 4 == 0) {
    if (aligned) {
#pragma unroll
      for (int k = 0; k < n; k += 4) {
        *reinterpret_cast<float4*>(p + k) = make_float4(x.v[k], x.v[k + 1], x.v[k + 2], x.v[k + 3]);
      }
      return;
    }
  }
#pragma unroll
  for (int k = 0; k < n; ++k) p[k] = x.v[k];
}

}  // namespace jaxtbe
