// Where gradients of rows come from: the writing features of some lookups, and the tables that they write.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/common/bags.h"
#include "csrc/common/modes.h"

namespace jaxtbe {

// One writing feature of one lookup. Sources are listed by lookup, then by feature.
struct Source {
  int64_t lookup;
  BagsView bags;
  int64_t feature;             // which rows of bags.offsets are its own
  const uint8_t* update_mask;  // [bags.num_ids] or null
  const float* d_acts;         // the gradient of the feature's output; that of sample b begins at d_acts + b * stride
  int64_t stride;
  int64_t table;
  Pooling pooling;
  int64_t max_length;
};

struct SourceTable {
  int64_t rows;
  int64_t dim;
  Duplicates duplicates;
};

inline int64_t MaxDim(const SourceTable* tables, int64_t num_tables) {
  int64_t dim = 1;
  for (int64_t t = 0; t < num_tables; ++t) dim = std::max(dim, tables[t].dim);
  return dim;
}

}  // namespace jaxtbe
