// Packs: 16, 4 or 1 floats handled at once, loaded from and stored to rows of any dtype.
#pragma once

#include <cstdint>
#include <cstring>
#ifdef __F16C__
#include <immintrin.h>
#endif

#include "csrc/common/half.h"
#include "csrc/common/macros.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

typedef float Pack16 __attribute__((vector_size(64)));
typedef float Pack4 __attribute__((vector_size(16)));

template <class V>
constexpr int kWidth = sizeof(V) / sizeof(float);

// Vectors of as many integers as the pack has floats.
template <class V>
struct Integers;
template <>
struct Integers<Pack16> {
  typedef uint16_t Half __attribute__((vector_size(32)));
  typedef uint32_t Full __attribute__((vector_size(64)));
};
template <>
struct Integers<Pack4> {
  typedef uint16_t Half __attribute__((vector_size(8)));
  typedef uint32_t Full __attribute__((vector_size(16)));
};

template <class V>
JAXTBE_HD V Load(const float* p) {
  V v;
  memcpy(&v, p, sizeof(V));
  return v;
}

template <class V>
JAXTBE_HD V Load(const BFloat16* p) {
  if constexpr (kWidth<V> == 1) {
    return ToFloat(*p);
  } else {
    typename Integers<V>::Half bits;
    memcpy(&bits, p, sizeof bits);
    return (V)(__builtin_convertvector(bits, typename Integers<V>::Full) << 16);
  }
}

template <class V>
JAXTBE_HD V Load(const Float16* p) {
#ifdef __F16C__
  if constexpr (kWidth<V> == 16) {
#ifdef __AVX512F__
    return (V)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256((const __m256i*)p));
#else
    V v;
    const __m256 low = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)p));
    const __m256 high = _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)(p + 8)));
    memcpy(&v, &low, 32);
    memcpy((char*)&v + 32, &high, 32);
    return v;
#endif
  }
#endif
  if constexpr (kWidth<V> == 1) {
    return ToFloat(*p);
  } else {
    V v;
    for (int k = 0; k < kWidth<V>; ++k) v[k] = ToFloat(p[k]);
    return v;
  }
}

template <class V>
JAXTBE_HD void Store(float* p, V v) {
  memcpy(p, &v, sizeof(V));
}

template <class V>
JAXTBE_HD void StoreBits(BFloat16* p, typename Integers<V>::Full bits) {
  const typename Integers<V>::Half half = __builtin_convertvector(bits, typename Integers<V>::Half);
  memcpy(p, &half, sizeof half);
}

// `add` rounds: to nearest, or stochastically. Infinities stay, and NaN stays NaN.
template <class V>
JAXTBE_HD void StoreRounded(BFloat16* p, V v, typename Integers<V>::Full add) {
  typedef typename Integers<V>::Full Full;
  const Full u = (Full)v, exponent = u & 0x7f800000u;
  const Full not_finite = (Full)(exponent == 0x7f800000u);
  const Full nan = (Full)((u & 0x7fffffu) != 0u);
  const Full kept = (u >> 16) | (nan & 0x40u);
  StoreBits<V>(p, (not_finite & kept) | (~not_finite & ((u + add) >> 16)));
}

template <class V>
JAXTBE_HD void Store(BFloat16* p, V v) {
  if constexpr (kWidth<V> == 1) {
    *p = ToBFloat16(v);
  } else {
    StoreRounded(p, v, 0x7fffu + (((typename Integers<V>::Full)v >> 16) & 1u));
  }
}

template <class V>
JAXTBE_HD void Store(Float16* p, V v) {
#ifdef __F16C__
  if constexpr (kWidth<V> == 16) {
    constexpr int kNearestEven = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
#ifdef __AVX512F__
    _mm256_storeu_si256((__m256i*)p, _mm512_maskz_cvtps_ph(0xffff, (__m512)v, kNearestEven));
#else
    __m256 low, high;
    memcpy(&low, &v, 32);
    memcpy(&high, (const char*)&v + 32, 32);
    _mm_storeu_si128((__m128i*)p, _mm256_cvtps_ph(low, kNearestEven));
    _mm_storeu_si128((__m128i*)(p + 8), _mm256_cvtps_ph(high, kNearestEven));
#endif
    return;
  }
#endif
  if constexpr (kWidth<V> == 1) {
    *p = ToFloat16(v);
  } else {
    for (int k = 0; k < kWidth<V>; ++k) p[k] = ToFloat16(v[k]);
  }
}

// Calls f(pack of the width, first column) for packs that cover [0, dim): as many of 16 as fit, then of 4, then of 1.
template <class F>
JAXTBE_HD void ForEachPack(int64_t dim, F f) {
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) f(Pack16{}, i);
  for (; i + 4 <= dim; i += 4) f(Pack4{}, i);
  for (; i < dim; ++i) f(float{}, i);
}

// Halves added to halves, in registers: one order for every instruction set.
JAXTBE_HD float HorizontalSum(float x) { return x; }
JAXTBE_HD float HorizontalSum(Pack4 v) {
  const float a = v[0] + v[2], b = v[1] + v[3];
  return a + b;
}
JAXTBE_HD float HorizontalSum(Pack16 v) {
  typedef float Pack8 __attribute__((vector_size(32)));
  Pack8 low, high;
  memcpy(&low, &v, 32);
  memcpy(&high, reinterpret_cast<const char*>(&v) + 32, 32);
  low += high;
  Pack4 a, b;
  memcpy(&a, &low, 16);
  memcpy(&b, reinterpret_cast<const char*>(&low) + 16, 16);
  return HorizontalSum(a + b);
}

// Sums f(pack, first column) over [0, dim), in an order that the dim alone decides.
template <class F>
JAXTBE_HD float SumPacks(int64_t dim, F f) {
  Pack16 sum16 = {};
  Pack4 sum4 = {};
  float sum1 = 0;
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) sum16 += f(Pack16{}, i);
  for (; i + 4 <= dim; i += 4) sum4 += f(Pack4{}, i);
  for (; i < dim; ++i) sum1 += f(float{}, i);
  return HorizontalSum(sum16) + (HorizontalSum(sum4) + sum1);
}

JAXTBE_HD void PrefetchLines(const void* p, int64_t bytes) {
  for (int64_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(static_cast<const char*>(p) + offset, 0, 3);
}
JAXTBE_HD void PrefetchLinesForWrite(const void* p, int64_t bytes) {
  for (int64_t offset = 0; offset < bytes; offset += 64) __builtin_prefetch(static_cast<const char*>(p) + offset, 1, 3);
}

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
