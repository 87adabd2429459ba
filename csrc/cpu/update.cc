#include "csrc/cpu/ops.h"

#include "csrc/cpu/backward.h"
#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim, int64_t /*num_tables*/) {
  Arena arena(nullptr);
  Backward(capacity, kUpdateBuffers * max_dim, arena);
  return arena.used();
}

void Update(const UpdateArgs& args, const Pool& pool) {
  Arena arena(args.scratch);
  Backward backward(args.capacity, kUpdateBuffers * MaxDim(args.shapes, args.num_tables), arena);
  backward.Sort(args.sources, args.num_sources, args.shapes, args.num_tables, pool);
  const UpdateRun run = {args.dtype, args.tables, args.noise, backward.rows()};
  const auto update = BestKernels().update[static_cast<int>(args.rule)];
  backward.ForEachTask(pool, [&](int64_t, Range range, float* buffer) { update(run, range, buffer); });
}

}  // namespace jaxtbe
