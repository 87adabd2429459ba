// The sum of some rows, each times a coefficient: the inner loop of the forward (rows of a table) and of the backward
// (rows of the output's gradient). Which rows, is a policy:
//
//   struct Rows {
//     static constexpr bool kWeighted;      // false: every coefficient is 1 and Coefficient is never called
//     bool Has(int64_t i) const;            // false: skip i
//     const T* Row(int64_t i) const;
//     float Coefficient(int64_t i) const;
//     void Prefetch(int64_t i) const;       // called once for every i, a moment before its row is needed
//   };
//
// Rows are added in the order of i, column by column, so the sum does not depend on how columns are grouped into packs.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/cpu/simd/pack.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

// Columns [0, kPacks * width of V) of the sum, held in registers.
template <class V, int kPacks, bool kPrefetch, class Rows>
JAXTBE_HD void SumBlock(const Rows& rows, int64_t begin, int64_t end, int64_t column, float* out) {
  V sum[kPacks] = {};
  for (int64_t i = begin; i < end; ++i) {
    if constexpr (kPrefetch) rows.Prefetch(i);
    if (!rows.Has(i)) continue;
    const auto* row = rows.Row(i) + column;
    if constexpr (Rows::kWeighted) {
      const float coefficient = rows.Coefficient(i);
#pragma GCC unroll 8
      for (int k = 0; k < kPacks; ++k) sum[k] += coefficient * Load<V>(row + k * kWidth<V>);
    } else {
#pragma GCC unroll 8
      for (int k = 0; k < kPacks; ++k) sum[k] += Load<V>(row + k * kWidth<V>);
    }
  }
#pragma GCC unroll 8
  for (int k = 0; k < kPacks; ++k) Store(out + column + k * kWidth<V>, sum[k]);
}

template <class V, bool kPrefetch, class Rows>
JAXTBE_HD void SumBlocks(int64_t packs, const Rows& rows, int64_t begin, int64_t end, int64_t column, float* out) {
  switch (packs) {
#define JAXTBE_SUM_BLOCK(n) \
  case n:                   \
    return SumBlock<V, n, kPrefetch>(rows, begin, end, column, out);
    JAXTBE_SUM_BLOCK(1)
    JAXTBE_SUM_BLOCK(2)
    JAXTBE_SUM_BLOCK(3)
    JAXTBE_SUM_BLOCK(4)
    JAXTBE_SUM_BLOCK(5)
    JAXTBE_SUM_BLOCK(6)
    JAXTBE_SUM_BLOCK(7)
    JAXTBE_SUM_BLOCK(8)
#undef JAXTBE_SUM_BLOCK
  }
}

template <class Rows>
void SumRows(const Rows& rows, int64_t begin, int64_t end, int64_t dim, float* out) {
  constexpr int64_t kBlock = 8 * 16;  // columns: eight 16-float registers
  // The first block prefetches; the others find the rows in cache.
  int64_t column = std::min(dim, kBlock) / 16 * 16;
  if (column > 0) SumBlocks<Pack16, true>(column / 16, rows, begin, end, 0, out);
  for (; dim - column >= 16; column += std::min(dim - column, kBlock) / 16 * 16) {
    SumBlocks<Pack16, false>(std::min(dim - column, kBlock) / 16, rows, begin, end, column, out);
  }
  if (dim - column >= 4) {
    SumBlocks<Pack4, false>((dim - column) / 4, rows, begin, end, column, out);
    column += (dim - column) / 4 * 4;
  }
  if (dim > column) SumBlocks<float, false>(dim - column, rows, begin, end, column, out);
}

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
