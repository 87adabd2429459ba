#include "csrc/common/dtype.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/fill.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {
namespace {

struct Gather {
  float* out;
  template <class T>
  __device__ __forceinline__ void operator()(T& element, int64_t i) const {
    out[i] = ToFloat(element);
  }
};
struct Store {
  const float* values;
  template <class T>
  __device__ __forceinline__ void operator()(T& element, int64_t i) const {
    element = FromFloat<T>(values[i]);
  }
};

// Moves the elements of rows of the tables [first, first + tables.count).
//
// Grid: one warp for each entry of `rows`; entries of other tables have nothing to do.
template <class T, class Move>
__global__ void MoveRowsKernel(const __grid_constant__ Descriptors<RowsTable> tables, int64_t first, RowsArgs args,
                               Move move) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (i >= args.count) return;
  // The last table that begins at or before the entry: empty ones before it begin there, too.
  const int64_t t = LowerBound(args.starts, args.num_tables + 1, static_cast<int32_t>(i + 1)) - 1 - first;
  if (t < 0 || t >= tables.count || first + t >= args.num_tables) return;
  const RowsTable& table = tables.items[t];
  const int64_t row = args.rows[i];
  if (row < 0 || row >= table.rows) return;
  T* data = static_cast<T*>(table.data) + row * args.dim;
  for (int64_t c = threadIdx.x % kWarp; c < args.dim; c += kWarp) move(data[c], i * args.dim + c);
}

template <class T, class Move>
void MoveRows(Launcher& launch, const RowsArgs& args, const Move& move) {
  ForEachBatch(args.tables, args.num_tables, [&](const Descriptors<RowsTable>& tables, int64_t first) {
    launch.Run("MoveRowsKernel", MoveRowsKernel<T, Move>, args.count * kWarp, tables, first, args, move);
  });
}

template <class Move>
void MoveRowsOfAnyDType(Launcher& launch, const RowsArgs& args, const Move& move) {
  VisitDType(args.dtype, [&](auto zero) { MoveRows<decltype(zero)>(launch, args, move); });
}

}  // namespace

LaunchStatus GatherRows(const RowsArgs& args, float* out, cudaStream_t stream) {
  Launcher launch(stream);
  Fill(launch, out, args.count * args.dim, 0.0f);
  MoveRowsOfAnyDType(launch, args, Gather{out});
  return launch.status();
}

LaunchStatus StoreRows(const RowsArgs& args, const float* values, cudaStream_t stream) {
  Launcher launch(stream);
  MoveRowsOfAnyDType(launch, args, Store{values});
  return launch.status();
}

}  // namespace jaxtbe
