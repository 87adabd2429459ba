#include "csrc/common/dtype.h"
#include "csrc/common/initial_value.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/ops.h"

namespace jaxtbe {
namespace {

__device__ __forceinline__ int64_t WarpNumber() {
  return (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
}

// Fresh values for evicted rows.
//
// Grid: one warp for each slot of the list.
template <class T>
__global__ void FreshRowsKernel(ResetRowsArgs args) {
  constexpr float kStep = 1.0f / (1 << 23);
  const int64_t i = WarpNumber();
  if (i >= args.num_slots) return;
  const int64_t slot = args.slots[i];
  if (slot < 0 || slot >= args.rows) return;
  T* row = static_cast<T*>(args.table) + slot * args.dim;
  const uint32_t key = RowInitialKey(InitialKey(*args.seed, args.table_number), args.ids[i]);
  const float unit = args.scale * kStep;
  for (int64_t column = threadIdx.x % kWarp; column < args.dim; column += kWarp) {
    row[column] = FromFloat<T>(InitialValue(key, static_cast<uint32_t>(column), unit));
  }
}

// Zeros for their optimizer states.
//
// Grid: one warp for each slot of the list, and one row of blocks for each state.
__global__ void ClearStatesKernel(const __grid_constant__ Descriptors<ResetState> states, const int32_t* slots,
                                  int64_t num_slots, int64_t rows) {
  const int64_t i = WarpNumber();
  if (i >= num_slots) return;
  const int64_t slot = slots[i];
  if (slot < 0 || slot >= rows) return;
  const ResetState& state = states.items[blockIdx.y];
  char* row = static_cast<char*>(state.data) + slot * state.row_bytes;
  const int lane = threadIdx.x % kWarp;
  if (state.row_bytes % 4 == 0) {
    for (int64_t k = lane; k < state.row_bytes / 4; k += kWarp) reinterpret_cast<uint32_t*>(row)[k] = 0;
  } else {
    for (int64_t k = lane; k < state.row_bytes; k += kWarp) row[k] = 0;
  }
}

}  // namespace

LaunchStatus ResetRows(const ResetRowsArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  VisitDType(args.dtype, [&](auto zero) {
    launch.Run("FreshRowsKernel", FreshRowsKernel<decltype(zero)>, args.num_slots * kWarp, args);
  });
  ForEachBatch(args.states, args.num_states, [&](const Descriptors<ResetState>& states, int64_t) {
    launch.RunGrid("ClearStatesKernel", ClearStatesKernel,
                   dim3(Blocks(args.num_slots * kWarp), static_cast<unsigned>(states.count)), kBlock, states,
                   args.slots, args.num_slots, args.rows);
  });
  return launch.status();
}

}  // namespace jaxtbe
