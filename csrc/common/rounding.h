// The random bits of stochastic rounding: a pure function of (seed, step, table, row, column).
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

namespace jaxtbe {

// `U` is uint32_t, or a vector of them. A bijective mixer of 32 bits with low bias (the constants of Chris Wellons'
// hash-prospector search, public domain).
template <class U>
JAXTBE_HD U Mix32(U x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

JAXTBE_HD uint32_t NoiseKey(uint32_t seed, uint32_t step, uint32_t table) {
  return Mix32(Mix32(Mix32(seed ^ 0x9e3779b9u) + step) ^ table);
}

JAXTBE_HD uint32_t RowNoiseKey(uint32_t key, uint32_t row) { return Mix32(key + Mix32(row ^ 0x85ebca6bu)); }

// 16 uniform bits.
template <class U>
JAXTBE_HD U Noise(uint32_t row_key, U column) {
  return Mix32(row_key + column * 0x9e3779b9u) >> 16;
}

}  // namespace jaxtbe
