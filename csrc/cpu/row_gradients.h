// The gradients of touched rows, without an optimizer: their norms, or the rows themselves.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/row_gradients_args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);

// norms[t]: the sum of the squares of the gradients of the rows of table t.
void SquareNorms(const RowGradientsArgs& args, float* norms, const Pool& pool);

void RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, const Pool& pool);

}  // namespace jaxtbe
