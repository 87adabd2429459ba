#include "csrc/cuda/ops.h"
#include "csrc/cuda/zch_positions.h"

namespace jaxtbe {
namespace {

// Positions that belong to no feature, or to one of another table.
//
// Grid: one thread for each position.
__global__ void NoIdsKernel(int32_t* rows, int8_t* status, int64_t count) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (n >= count) return;
  rows[n] = -1;
  status[n] = static_cast<int8_t>(Outcome::kNoId);
}

// Grid: one thread for each position.
__global__ void FindKernel(ZchFindArgs args, const __grid_constant__ AccessBatch access, int64_t first) {
  const int64_t n = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (n >= args.batch.num_ids) return;
  const uint64_t id = args.batch.ids[n];
  if (id == kNoId || AccessAt(args.batch, access, first, n) == Access::kOtherTable) return;
  const int32_t slot = Locate(args.slots.ids, args.layout, args.layout.WindowOf(id), id);
  args.rows[n] = slot >= 0 ? slot : args.layout.FallbackRow(args.on_full, id);
  args.status[n] = static_cast<int8_t>(slot >= 0 ? Outcome::kReadHit : Outcome::kReadMiss);
}

}  // namespace

LaunchStatus ZchFind(const ZchFindArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  const int64_t count = args.batch.num_ids;
  launch.Run("NoIdsKernel", NoIdsKernel, count, args.rows, args.status, count);
  const std::vector<int8_t> access = AccessOf(args.batch);
  ForEachBatch(access.data(), static_cast<int64_t>(access.size()), [&](const AccessBatch& some, int64_t first) {
    launch.Run("FindKernel", FindKernel, count, args, some, first);
  });
  return launch.status();
}

}  // namespace jaxtbe
