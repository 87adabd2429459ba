// The gradients of touched rows, without an optimizer: their norms, or the rows themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/cpu/occurrences.h"

namespace jaxtbe {

struct RowGradientsArgs {
  const SourceTable* tables;
  int64_t num_tables;
  const Source* sources;
  int64_t num_sources;
  int64_t capacity;  // ids of all lookups together
  void* scratch;     // RowGradientsScratchBytes(capacity, largest dim)
};

size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim);

// norms[t]: the sum of the squares of the gradients of the rows of table t.
void SquareNorms(const RowGradientsArgs& args, float* norms, const Pool& pool);

// The touched rows of all tables, which have one dim: sorted by (table, row), each once.
struct RowGradientsOutput {
  int32_t* rows;     // [capacity], padded with -1
  float* gradients;  // [capacity, dim], padded with zeros
  int32_t* starts;   // [num_tables + 1]: the rows of table t are [starts[t], starts[t + 1])
};
void RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, const Pool& pool);

}  // namespace jaxtbe
