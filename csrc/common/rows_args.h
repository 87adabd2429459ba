// What gathering and storing rows are called with.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"

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

}  // namespace jaxtbe
