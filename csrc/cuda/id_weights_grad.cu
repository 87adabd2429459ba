#include <vector>

#include "csrc/common/dtype.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/features.h"
#include "csrc/cuda/fill.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/row_io.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {
namespace {

// This lane's share of the dot product of a row with a gradient.
template <class T>
__device__ __forceinline__ float PartialDot(const T* row, const float* d_row, int64_t dim) {
  const int lane = threadIdx.x % kWarp;
  float sum = 0.0f;
  if (dim % 4 == 0 && IsAligned<4>(row) && IsAligned<4>(d_row)) {
    for (int64_t column = 4 * lane; column < dim; column += 4 * kWarp) {
      const Floats<4> a = LoadWord<4>(row + column), b = LoadWord<4>(d_row + column);
#pragma unroll
      for (int k = 0; k < 4; ++k) sum = fmaf(a.v[k], b.v[k], sum);
    }
  } else {
    for (int64_t column = lane; column < dim; column += kWarp) sum = fmaf(ToFloat(row[column]), d_row[column], sum);
  }
  return sum;
}

// The gradient of the id weights of one bag.
//
// Grid: one warp for each sample, and one row of blocks for each feature. Block: kBlock threads, each warp alone.
template <class T>
__global__ void __launch_bounds__(kBlock, 3)
    IdWeightsGradKernel(const __grid_constant__ Descriptors<FeatureView> features, BagsView bags, const float* d_acts,
                        int64_t stride, float* d_id_weights) {
  const int64_t sample = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kWarp;
  if (sample >= bags.batch) return;
  const FeatureView& feature = features.items[blockIdx.y];
  const int lane = threadIdx.x % kWarp;
  const Range bag = bags.Bag(feature.feature, sample);
  int valid = 0;
  for (int64_t p = bag.begin; p < bag.end; p += kWarp) {
    const bool names_row = p + lane < bag.end && static_cast<uint32_t>(bags.ids[p + lane]) < feature.rows;
    valid += __popc(__ballot_sync(kAllLanes, names_row));
  }
  const bool none = feature.pooling == Pooling::kNone;
  const float scale = feature.pooling == Pooling::kMean && valid > 1 ? static_cast<float>(valid) : 1.0f;
  const float* d_row = d_acts + sample * stride + feature.column;
  const int64_t stop = none ? Clamp(bag.begin + feature.max_length, 0, bag.end) : bag.end;
  for (int64_t p = bag.begin; p < stop; ++p) {
    const uint32_t row = static_cast<uint32_t>(bags.ids[p]);
    if (row >= feature.rows) continue;
    const T* weights = static_cast<const T*>(feature.table) + int64_t{row} * feature.dim;
    const float dot = WarpSum(PartialDot(weights, none ? d_row + (p - bag.begin) * feature.dim : d_row, feature.dim));
    if (lane == 0) d_id_weights[p] = dot / scale;
  }
}

template <class T>
void LaunchFor(Launcher& launch, const IdWeightsGradArgs& args, const std::vector<FeatureView>& features) {
  const BagsView& bags = args.lookup.bags;
  ForEachBatch(features.data(), static_cast<int64_t>(features.size()),
               [&](const Descriptors<FeatureView>& batch, int64_t) {
                 const dim3 grid(Blocks(bags.batch * kWarp), static_cast<unsigned>(batch.count));
                 launch.RunGrid("IdWeightsGradKernel", IdWeightsGradKernel<T>, grid, kBlock, batch, bags, args.d_acts,
                                args.lookup.stride, args.d_id_weights);
               });
}

}  // namespace

LaunchStatus IdWeightsGrad(const IdWeightsGradArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  // Positions outside every bag, and those of features of other calls, stay zero.
  Fill(launch, args.d_id_weights, args.lookup.bags.num_ids, 0.0f);
  std::vector<FeatureView> features;
  for (const FeatureView& feature : FeaturesOf(args.lookup)) {
    if (feature.reads) features.push_back(feature);
  }
  VisitDType(args.lookup.dtype, [&](auto zero) { LaunchFor<decltype(zero)>(launch, args, features); });
  return launch.status();
}

}  // namespace jaxtbe
