// Rows of some tables as one float32 block, and back: for optimizers that are not written as a rule.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

struct RowsTable {
  void* data;  // [rows, dim]
  int64_t rows;
};

// Table t has the entries [starts[t], starts[t + 1]) of `rows`.
struct RowsArgs {
  DType dtype;
  const RowsTable* tables;
  int64_t num_tables;
  int64_t dim;
  const int32_t* rows;    // [count]; those out of range are skipped
  const int32_t* starts;  // [num_tables + 1]
  int64_t count;
};

void GatherRows(const RowsArgs& args, float* out, const Pool& pool);  // out [count, dim], zeros where there is no row
void StoreRows(const RowsArgs& args, const float* values, const Pool& pool);  // rounds to nearest

}  // namespace jaxtbe
