#include "csrc/cuda/faults.h"

#include "csrc/cuda/batches.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/positions.h"

namespace jaxtbe {
namespace {

// Grid: one thread for each feature.
__global__ void StartFaultsKernel(int32_t* faults, int64_t num_features) {
  const int64_t f = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (f >= num_features) return;
  faults[2 * f] = 0;
  faults[2 * f + 1] = INT32_MAX;
}

// Grid: one thread for each feature.
__global__ void FinishFaultsKernel(int32_t* faults, int64_t num_features, const int32_t* ids) {
  const int64_t f = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (f >= num_features) return;
  faults[2 * f + 1] = faults[2 * f] > 0 ? ids[faults[2 * f + 1]] : -1;
}

// Counts the faults of the features [first, first + rows.count).
//
// Grid: one thread for each position.
__global__ void CountFaultsKernel(BagsView bags, int64_t num_features,
                                  const __grid_constant__ Descriptors<int64_t> rows, int64_t first,
                                  FaultCounter faults) {
  const int64_t position = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (position >= bags.num_ids) return;
  const int64_t feature = FeatureAt(bags.offsets, num_features, bags.batch, position);
  if (feature < first || feature >= first + rows.count) return;
  if (bags.ids[position] >= rows.items[feature - first]) faults.Add(static_cast<int>(feature), position);
}

}  // namespace

void StartFaults(Launcher& launch, int32_t* faults, int64_t num_features) {
  launch.Run("StartFaultsKernel", StartFaultsKernel, num_features, faults, num_features);
}

void FinishFaults(Launcher& launch, int32_t* faults, int64_t num_features, const int32_t* ids) {
  launch.Run("FinishFaultsKernel", FinishFaultsKernel, num_features, faults, num_features, ids);
}

LaunchStatus CountFaults(const BagsView& bags, const int64_t* rows, int64_t num_features, int32_t* faults,
                         cudaStream_t stream) {
  Launcher launch(stream);
  StartFaults(launch, faults, num_features);
  ForEachBatch(rows, num_features, [&](const Descriptors<int64_t>& some, int64_t first) {
    launch.Run("CountFaultsKernel", CountFaultsKernel, bags.num_ids, bags, num_features, some, first,
               FaultCounter{faults});
  });
  FinishFaults(launch, faults, num_features, bags.ids);
  return launch.status();
}

}  // namespace jaxtbe
