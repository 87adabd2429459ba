// The value that a row starts from: a pure function of (seed, table, id, column), so that it depends neither on history
// nor on where the row lies.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"
#include "csrc/common/rounding.h"

namespace jaxtbe {

JAXTBE_HD uint32_t InitialKey(uint32_t seed, uint32_t table) { return Mix32(Mix32(seed ^ 0xc2b2ae35u) ^ table); }

JAXTBE_HD uint32_t RowInitialKey(uint32_t key, uint64_t id) {
  const uint32_t low = static_cast<uint32_t>(id), high = static_cast<uint32_t>(id >> 32);
  return Mix32(Mix32(key + Mix32(low ^ 0x85ebca6bu)) ^ high);
}

// Uniform in [-scale, scale), for unit = scale * 2^-23: a 24-bit integer times the unit. There is one rounding, so that
// every compiler gets the same bits.
JAXTBE_HD float InitialValue(uint32_t row_key, uint32_t column, float unit) {
  const int32_t steps = static_cast<int32_t>(Mix32(row_key + column * 0x9e3779b9u) >> 8) - (1 << 23);
  return static_cast<float>(steps) * unit;
}

}  // namespace jaxtbe
