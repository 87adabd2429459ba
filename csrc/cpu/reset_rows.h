// Rows as they were at the beginning: fresh values, and optimizer state of zeros.
#pragma once

#include "csrc/common/reset_rows_args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

void ResetRows(const ResetRowsArgs& args, const Pool& pool);

}  // namespace jaxtbe
