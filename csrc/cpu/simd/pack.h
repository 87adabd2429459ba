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

// Calls f(pack of the width, first column) for packs that cover [0, dim): as many of 16 as fit, then of 4, then of 1.
template <class F>
JAXTBE_HD void ForEachPack(int64_t dim, F f) {
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) f(Pack16{}, i);
  for (; i + 4 <= dim; i += 4) f(Pack4{}, i);
  for (; i < dim; ++i) f(float{}, i);
}

JAXTBE_HD float HorizontalSum(float x) { return x; }
template <class V>
JAXTBE_HD float HorizontalSum(V v) {
  float lanes[kWidth<V>];
  memcpy(lanes, &v, sizeof(V));
  for (int half = kWidth<V> / 2; half > 0; half /= 2) {
    for (int k = 0; k < half; ++k) lanes[k] += lanes[k + half];
  }
  return lanes[0];
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
