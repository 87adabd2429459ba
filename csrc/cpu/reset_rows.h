// Rows as they were at the beginning: fresh values, and optimizer state of zeros.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

struct ResetState {
  void* data;         // [rows, ...]
  int64_t row_bytes;  // of one row
};

struct ResetRowsArgs {
  DType dtype;
  void* table;  // [rows, dim] of the dtype
  int64_t rows;
  int64_t dim;
  const ResetState* states;
  int64_t num_states;
  const int32_t* slots;  // [num_slots]: distinct rows, then -1
  const uint64_t* ids;   // [num_slots]: the ids that those rows are for
  int64_t num_slots;
  uint32_t seed;
  uint32_t table_number;
  float scale;
};

void ResetRows(const ResetRowsArgs& args, const Pool& pool);

}  // namespace jaxtbe
