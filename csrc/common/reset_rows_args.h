// What a reset of rows is called with.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"

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
  const uint32_t* seed;  // one number
  uint32_t table_number;
  float scale;
};

}  // namespace jaxtbe
