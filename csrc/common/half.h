// bfloat16 and float16 as bit patterns, and their conversions to and from float32.
#pragma once

#include <cstdint>
#include <cstring>

#include "csrc/common/macros.h"

namespace jaxtbe {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

JAXTBE_HD uint32_t FloatBits(float x) {
  uint32_t u;
  memcpy(&u, &x, 4);
  return u;
}
JAXTBE_HD float BitsFloat(uint32_t u) {
  float x;
  memcpy(&x, &u, 4);
  return x;
}

JAXTBE_HD float ToFloat(float x) { return x; }
JAXTBE_HD float ToFloat(BFloat16 x) { return BitsFloat(static_cast<uint32_t>(x.bits) << 16); }
// Integer arithmetic until the last step, so that flush-to-zero modes cannot lose subnormal halves.
JAXTBE_HD float ToFloat(Float16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000) << 16;
  const uint32_t exponent = (x.bits >> 10) & 31, mantissa = x.bits & 1023;
  if (exponent == 31) return BitsFloat(sign | 0x7f800000u | (mantissa << 13));
  if (exponent != 0) return BitsFloat(sign | ((exponent + 112) << 23) | (mantissa << 13));
  const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-08f;  // 2^-24
  return BitsFloat(sign | FloatBits(magnitude));
}

// `noise`: kNearest rounds to nearest, ties to even; a 16-bit value is the random part of stochastic rounding.
constexpr uint32_t kNearest = ~0u;

JAXTBE_HD BFloat16 ToBFloat16(float x, uint32_t noise = kNearest) {
  const uint32_t u = FloatBits(x);
  if ((u & 0x7f800000u) == 0x7f800000u) {  // infinity, or NaN kept quiet
    const bool nan = (u & 0x007fffffu) != 0;
    return {static_cast<uint16_t>((u >> 16) | (nan ? 0x40u : 0u))};
  }
  const uint32_t add = noise == kNearest ? 0x7fffu + ((u >> 16) & 1) : (noise & 0xffffu);
  return {static_cast<uint16_t>((u + add) >> 16)};
}

JAXTBE_HD Float16 ToFloat16(float x, uint32_t noise = kNearest) {
  const uint32_t u = FloatBits(x), magnitude = u & 0x7fffffffu;
  const uint16_t sign = static_cast<uint16_t>((u >> 16) & 0x8000u);
  if (magnitude >= 0x7f800000u) {
    const uint16_t nan = magnitude > 0x7f800000u ? 0x200u | ((magnitude >> 13) & 0x3ffu) : 0u;
    return {static_cast<uint16_t>(sign | 0x7c00u | nan)};
  }
  // Bits of the mantissa that float16 cannot hold: 13, and more for each step below the smallest normal number, 2^-14.
  const uint32_t exponent = magnitude >> 23;
  uint32_t mantissa, shift;
  if (exponent >= 113) {
    mantissa = magnitude - (112u << 23);
    shift = 13;
  } else {
    if (exponent < 95) return {sign};  // under 2^-32: nothing of it is left, in either rounding
    mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    shift = 13 + (113 - exponent);
  }
  const uint32_t half = 1u << (shift - 1), mask = (1u << shift) - 1;
  uint64_t add;
  if (noise == kNearest) {
    add = half - 1 + ((mantissa >> shift) & 1);
  } else {  // 16 random bits, spread over the dropped bits
    add = shift <= 16 ? (noise & 0xffffu) >> (16 - shift) : static_cast<uint64_t>(noise & 0xffffu) << (shift - 16);
    add &= mask;
  }
  const uint64_t rounded = (static_cast<uint64_t>(mantissa) + add) >> shift;
  return {static_cast<uint16_t>(sign | (rounded > 0x7c00u ? 0x7c00u : rounded))};
}

template <class T>
JAXTBE_HD T FromFloat(float x, uint32_t noise = kNearest);
template <>
JAXTBE_HD float FromFloat<float>(float x, uint32_t) {
  return x;
}
template <>
JAXTBE_HD BFloat16 FromFloat<BFloat16>(float x, uint32_t noise) {
  return ToBFloat16(x, noise);
}
template <>
JAXTBE_HD Float16 FromFloat<Float16>(float x, uint32_t noise) {
  return ToFloat16(x, noise);
}

}  // namespace jaxtbe
