#include "csrc/cuda/batches.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/update_rows.h"

namespace jaxtbe {
namespace {

struct Scratch {
  OccurrenceSorter sorter;
  BackwardScratch backward;
  UpdateTable* tables;

  Scratch(int64_t capacity, int64_t max_dim, int64_t num_tables, Arena& arena)
      : sorter(capacity, num_tables, arena),
        backward(capacity, max_dim, arena),
        tables(arena.Take<UpdateTable>(num_tables)) {}
};

}  // namespace

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables) {
  Arena arena(nullptr);
  Scratch(capacity, max_dim, num_tables, arena);
  return arena.used();
}

LaunchStatus Update(const UpdateArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  Arena arena(args.scratch);
  const Scratch scratch(args.capacity, MaxDim(args.shapes, args.num_tables), args.num_tables, arena);
  const SortedOccurrences sorted =
      scratch.sorter.Sort(launch, args.sources, args.num_sources, args.shapes, args.num_tables);
  StoreDescriptors(launch, args.tables, args.num_tables, scratch.tables);
  const UpdateRun run = {args, scratch.tables, sorted, scratch.backward};
  switch (args.dtype) {
    case DType::kFloat32:
      UpdateFloat32Rows(launch, run);
      break;
    case DType::kBFloat16:
      UpdateBFloat16Rows(launch, run);
      break;
    case DType::kFloat16:
      UpdateFloat16Rows(launch, run);
      break;
  }
  return launch.status();
}

}  // namespace jaxtbe
