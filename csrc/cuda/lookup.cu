#include <vector>

#include "csrc/common/dtype.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/faults.h"
#include "csrc/cuda/features.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/row_io.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {
namespace {

constexpr uint32_t kNoRow = ~0u;

// A bag and the group of lanes that works on it. Each id is checked by one lane, for all.
template <class T, int kWidth, int kLanes, bool kWeighted>
struct BagGroup {
  static constexpr int kAhead = kLanes < 8 ? kLanes : 8;  // rows in flight
  const BagsView& bags;
  const FeatureView& feature;
  FaultCounter faults;
  Range bag;
  unsigned mask;
  int lane;

  struct Id {
    uint32_t row;
    float weight;
  };
  __device__ __forceinline__ Id Check(int64_t position, bool counts_faults) const {
    if (position >= bag.end) return {kNoRow, 0.0f};
    const int32_t id = bags.ids[position];
    if (static_cast<uint32_t>(id) < feature.rows) {
      return {static_cast<uint32_t>(id), kWeighted ? bags.id_weights[position] : 1.0f};
    }
    if (id >= 0 && counts_faults) faults.Add(feature.feature, position);
    return {kNoRow, 0.0f};
  }

  __device__ __forceinline__ Floats<kWidth> Load(uint32_t row, int64_t column) const {
    return LoadWord<kWidth>(static_cast<const T*>(feature.table) + int64_t{row} * feature.dim + column);
  }

  // Counts the faults of a bag whose rows are not all read.
  __device__ __forceinline__ void CheckAll() const {
    for (int64_t p = bag.begin + lane; p < bag.end; p += kLanes) Check(p, true);
  }

  // The sum of the rows at this lane's columns, in the order of the bag. `valid`: how many ids name a row.
  __device__ __forceinline__ Floats<kWidth> Sum(int64_t column, bool counts_faults, int* valid) const {
    Floats<kWidth> sum = {};
    *valid = 0;
    for (int64_t p = bag.begin; p < bag.end; p += kLanes) {
      const Id mine = Check(p + lane, counts_faults);
      *valid += __popc(__ballot_sync(mask, mine.row != kNoRow) & mask);
      const int count = static_cast<int>(Clamp(bag.end - p, 0, kLanes));
      for (int j = 0; j < count; j += kAhead) {
        uint32_t rows[kAhead];
        Floats<kWidth> loaded[kAhead];
#pragma unroll
        for (int u = 0; u < kAhead; ++u) {
          rows[u] = __shfl_sync(mask, mine.row, j + u, kLanes);
          if (rows[u] != kNoRow && column < feature.dim) loaded[u] = Load(rows[u], column);
        }
#pragma unroll
        for (int u = 0; u < kAhead; ++u) {
          const float weight = kWeighted ? __shfl_sync(mask, mine.weight, j + u, kLanes) : 1.0f;
          if (rows[u] == kNoRow || column >= feature.dim) continue;
#pragma unroll
          for (int k = 0; k < kWidth; ++k) {
            sum.v[k] = kWeighted ? fmaf(weight, loaded[u].v[k], sum.v[k]) : sum.v[k] + loaded[u].v[k];
          }
        }
      }
    }
    return sum;
  }

  __device__ __forceinline__ void Pool(float* out) const {
    for (int64_t base = 0; base < feature.dim; base += kLanes * kWidth) {
      const int64_t column = base + lane * kWidth;
      int valid;
      Floats<kWidth> sum = Sum(column, base == 0, &valid);
      if (column >= feature.dim) continue;
      if (feature.pooling == Pooling::kMean && valid > 1) {
#pragma unroll
        for (int k = 0; k < kWidth; ++k) sum.v[k] /= static_cast<float>(valid);
      }
      StoreFloats(out + column, sum, IsAligned<4>(out + column));
    }
  }

  // Pooling::kNone: one row an id, zeros for ids that are not valid and past the bag's end.
  __device__ __forceinline__ void Copy(float* out) const {
    CheckAll();
    for (int64_t j = 0; j < feature.max_length; ++j, out += feature.dim) {
      const Id id = Check(bag.begin + j, false);
      for (int64_t column = lane * kWidth; column < feature.dim; column += kLanes * kWidth) {
        Floats<kWidth> value = {};
        if (id.row != kNoRow) value = Load(id.row, column);
        if constexpr (kWeighted) {
#pragma unroll
          for (int k = 0; k < kWidth; ++k) value.v[k] = id.row == kNoRow ? 0.0f : value.v[k] * id.weight;
        }
        StoreFloats(out + column, value, IsAligned<4>(out + column));
      }
    }
  }

  // What a write-only feature reads. Minus zero is the exact neutral element of addition.
  __device__ __forceinline__ void FillMinusZero(float* out) const {
    CheckAll();
    const int64_t width = feature.pooling == Pooling::kNone ? feature.max_length * feature.dim : feature.dim;
    for (int64_t column = lane; column < width; column += kLanes) out[column] = -0.0f;
  }
};

// Pools the bags of features whose rows are read by kLanes lanes, kWidth elements each at a time.
//
// Grid: kLanes threads for each sample, and one row of blocks for each feature.
// Block: kBlock threads, kBlock / kLanes bags. Two an SM, so up to 128 registers a thread: left to itself, nvcc spills
// some to save others.
template <class T, int kWidth, int kLanes, bool kWeighted>
__global__ void __launch_bounds__(kBlock, 2) LookupKernel(const __grid_constant__ Descriptors<FeatureView> features,
                                                          BagsView bags, float* acts, int64_t stride, int32_t* faults) {
  const int64_t sample = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / kLanes;
  if (sample >= bags.batch) return;
  const FeatureView& feature = features.items[blockIdx.y];
  const BagGroup<T, kWidth, kLanes, kWeighted> group = {bags,
                                                        feature,
                                                        {faults},
                                                        bags.Bag(feature.feature, sample),
                                                        GroupMask(kLanes),
                                                        static_cast<int>(threadIdx.x % kLanes)};
  float* out = acts + sample * stride + feature.column;
  if (!feature.reads) return group.FillMinusZero(out);
  if (feature.pooling == Pooling::kNone) return group.Copy(out);
  group.Pool(out);
}

// How many lanes read a row by words of 16 bytes, or 0: it does not lie so.
template <class T>
int LanesFor(const FeatureView& feature) {
  if (feature.dim % kPerLoad<T> != 0 || !IsAligned<kPerLoad<T>>(static_cast<const T*>(feature.table))) return 0;
  const int64_t words = feature.dim / kPerLoad<T>;
  return words <= 4 ? 4 : words <= 8 ? 8 : words <= 16 ? 16 : 32;
}

template <class T, int kWidth, int kLanes>
void LookupFeatures(Launcher& launch, const LookupArgs& args, const std::vector<FeatureView>& all, int lanes) {
  std::vector<FeatureView> chosen;
  for (const FeatureView& feature : all) {
    if (LanesFor<T>(feature) == lanes) chosen.push_back(feature);
  }
  const auto kernel =
      args.bags.id_weights ? LookupKernel<T, kWidth, kLanes, true> : LookupKernel<T, kWidth, kLanes, false>;
  ForEachBatch(chosen.data(), static_cast<int64_t>(chosen.size()), [&](const Descriptors<FeatureView>& batch, int64_t) {
    const dim3 grid(Blocks(args.bags.batch * kLanes), static_cast<unsigned>(batch.count));
    launch.RunGrid("LookupKernel", kernel, grid, kBlock, batch, args.bags, args.acts, args.stride, args.faults);
  });
}

template <class T>
void LookupAll(Launcher& launch, const LookupArgs& args) {
  const std::vector<FeatureView> features = FeaturesOf(args);
  LookupFeatures<T, kPerLoad<T>, 4>(launch, args, features, 4);
  LookupFeatures<T, kPerLoad<T>, 8>(launch, args, features, 8);
  LookupFeatures<T, kPerLoad<T>, 16>(launch, args, features, 16);
  LookupFeatures<T, kPerLoad<T>, 32>(launch, args, features, 32);
  LookupFeatures<T, 1, kWarp>(launch, args, features, 0);
}

}  // namespace

LaunchStatus Lookup(const LookupArgs& args, cudaStream_t stream) {
  Launcher launch(stream);
  StartFaults(launch, args.faults, args.num_features);
  VisitDType(args.dtype, [&](auto zero) { LookupAll<decltype(zero)>(launch, args); });
  FinishFaults(launch, args.faults, args.num_features, args.bags.ids);
  return launch.status();
}

}  // namespace jaxtbe
