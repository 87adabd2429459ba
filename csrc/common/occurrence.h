// What one occurrence of a row in a batch means for the row's gradient.
#pragma once

#include "csrc/common/source.h"

namespace jaxtbe {

// The ids of a bag that are rows of the table.
JAXTBE_HD int64_t CountValid(const BagsView& bags, Range bag, int64_t rows) {
  int64_t valid = 0;
  for (int64_t p = bag.begin; p < bag.end; ++p) valid += static_cast<uint32_t>(bags.ids[p]) < rows;
  return valid;
}

// What pooling makes of the gradient of a bag before it reaches each of its rows: the same for all ids of the bag.
JAXTBE_HD float BagScale(Pooling pooling, const BagsView& bags, Range bag, int64_t rows) {
  if (pooling != Pooling::kMean) return 1.0f;
  const int64_t valid = CountValid(bags, bag, rows);
  return 1.0f / static_cast<float>(valid > 1 ? valid : 1);
}

// Whether the id at a position is a row that learns from it. `index`: of the position within its bag.
JAXTBE_HD bool Trains(const BagsView& bags, const uint8_t* update_mask, int64_t position, int64_t rows, Pooling pooling,
                      int64_t index, int64_t max_length) {
  if (static_cast<uint32_t>(bags.ids[position]) >= rows || (update_mask && !update_mask[position])) return false;
  return pooling != Pooling::kNone || (index >= 0 && index < max_length);
}

}  // namespace jaxtbe
