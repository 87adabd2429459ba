// Elementwise functions over `V`, which is float (CUDA, and the tails of CPU loops) or a vector of floats (CPU).
#pragma once

#include <cmath>

#include "csrc/common/macros.h"

namespace jaxtbe {

JAXTBE_HD float Sqrt(float x) { return sqrtf(x); }

template <class V>
JAXTBE_HD V Sqrt(V x) {
  V y;
  for (unsigned k = 0; k < sizeof(V) / sizeof(float); ++k) y[k] = __builtin_sqrtf(x[k]);
  return y;
}

constexpr float kLargest = 0x1.fffffep127f;  // of all finite numbers

// Of a limit: whether it is off. Python passes the largest finite number, since infinities are what users debug.
JAXTBE_HD bool IsOff(float limit) { return limit >= kLargest; }

// What rows are multiplied by before their norm is taken, where the sum of their squares overflows.
constexpr float kNormShrink = 0x1p-80f;

// Clamps to [-limit, limit] and leaves NaN as it is.
JAXTBE_HD float Clip(float x, float limit) { return x > limit ? limit : (x < -limit ? -limit : x); }

template <class V>
JAXTBE_HD V Clip(V x, float limit) {
  V y;
  for (unsigned k = 0; k < sizeof(V) / sizeof(float); ++k) y[k] = Clip(x[k], limit);
  return y;
}

}  // namespace jaxtbe
