// Backward fused with the optimizer: every touched row is summed and updated once, by one owner.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/update_args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);
void Update(const UpdateArgs& args, const Pool& pool);

}  // namespace jaxtbe
