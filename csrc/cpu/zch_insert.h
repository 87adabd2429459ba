// One batch of raw ids into a hashed ZCH: hits, inserts and evictions, in place, the same for any number of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/zch/args.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

size_t ZchInsertScratchBytes(int64_t num_ids);
// `grain`: positions of a task, at least.
void ZchInsert(const ZchInsertArgs& args, const Pool& pool, int64_t grain = 2048);

}  // namespace jaxtbe
