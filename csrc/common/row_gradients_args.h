// What the gradients of touched rows, without an optimizer, are called with.
#pragma once

#include <cstdint>

#include "csrc/common/source.h"

namespace jaxtbe {

struct RowGradientsArgs {
  const SourceTable* tables;
  int64_t num_tables;
  const Source* sources;
  int64_t num_sources;
  int64_t capacity;  // ids of all lookups together
  void* scratch;     // RowGradientsScratchBytes(capacity, largest dim, num_tables)
};

// The touched rows of all tables, which have one dim: sorted by (table, row), each once.
struct RowGradientsOutput {
  int32_t* rows;     // [capacity], padded with -1
  float* gradients;  // [capacity, dim], padded with zeros
  int32_t* starts;   // [num_tables + 1]: the rows of table t are [starts[t], starts[t + 1])
};

}  // namespace jaxtbe
