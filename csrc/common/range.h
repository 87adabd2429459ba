// Half-open ranges of positions, and their split into equal parts.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

namespace jaxtbe {

struct Range {
  int64_t begin, end;
};

JAXTBE_HD int64_t Clamp(int64_t x, int64_t least, int64_t most) { return x < least ? least : (x > most ? most : x); }

// The part `i` of `parts` equal parts of [0, n). Results never depend on how many threads there are, because the number
// of parts depends on n alone.
JAXTBE_HD Range Part(int64_t n, int64_t parts, int64_t i) { return {n * i / parts, n * (i + 1) / parts}; }

}  // namespace jaxtbe
