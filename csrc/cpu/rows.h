// Rows of some tables as one float32 block, and back: for optimizers that are not written as a rule.
#pragma once

#include <cstdint>

#include "csrc/common/rows_args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

void GatherRows(const RowsArgs& args, float* out, const Pool& pool);  // out [count, dim], zeros where there is no row
void StoreRows(const RowsArgs& args, const float* values, const Pool& pool);  // rounds to nearest

}  // namespace jaxtbe
