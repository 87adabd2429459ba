// Every operation on CUDA. All only launch kernels: no allocation, no wait, nothing read from the device, and the same
// grids for the same shapes, so that XLA may record them into a CUDA graph.
#pragma once

#include <cstddef>

#include "csrc/common/lookup_args.h"
#include "csrc/common/reset_rows_args.h"
#include "csrc/common/row_gradients_args.h"
#include "csrc/common/rows_args.h"
#include "csrc/common/update_args.h"
#include "csrc/common/zch/args.h"
#include "csrc/cuda/launch.h"

namespace jaxtbe {

LaunchStatus Lookup(const LookupArgs& args, cudaStream_t stream);
// rows[f]: of the table of feature f, on the host. faults [num_features, 2] as Lookup gives them.
LaunchStatus CountFaults(const BagsView& bags, const int64_t* rows, int64_t num_features, int32_t* faults,
                         cudaStream_t stream);
LaunchStatus IdWeightsGrad(const IdWeightsGradArgs& args, cudaStream_t stream);

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);
LaunchStatus Update(const UpdateArgs& args, cudaStream_t stream);

size_t RowGradientsScratchBytes(int64_t capacity, int64_t max_dim, int64_t num_tables);
LaunchStatus SquareNorms(const RowGradientsArgs& args, float* norms, cudaStream_t stream);
LaunchStatus RowGradients(const RowGradientsArgs& args, const RowGradientsOutput& out, cudaStream_t stream);

LaunchStatus GatherRows(const RowsArgs& args, float* out, cudaStream_t stream);
LaunchStatus StoreRows(const RowsArgs& args, const float* values, cudaStream_t stream);

LaunchStatus ResetRows(const ResetRowsArgs& args, cudaStream_t stream);

LaunchStatus ZchFind(const ZchFindArgs& args, cudaStream_t stream);
size_t ZchInsertScratchBytes(int64_t num_ids);
LaunchStatus ZchInsert(const ZchInsertArgs& args, cudaStream_t stream);

}  // namespace jaxtbe
