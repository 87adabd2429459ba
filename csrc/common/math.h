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

// Of a limit: whether it is off.
JAXTBE_HD bool IsInfinite(float limit) { return limit > 3.402823466e38f; }

// Clamps to [-limit, limit] and leaves NaN as it is.
JAXTBE_HD float Clip(float x, float limit) { return x > limit ? limit : (x < -limit ? -limit : x); }

template <class V>
JAXTBE_HD V Clip(V x, float limit) {
  V y;
  for (unsigned k = 0; k < sizeof(V) / sizeof(float); ++k) y[k] = Clip(x[k], limit);
  return y;
}

}  // namespace jaxtbe
