#include "csrc/cuda/rising_offsets.h"

#include <algorithm>

#include "csrc/common/range.h"

namespace jaxtbe {
namespace {

constexpr int kThreads = JAXTBE_LIMIT(256, 64);
constexpr int kWarps = kThreads / kWarp;
constexpr int kEach = JAXTBE_LIMIT(4, 2);  // neighbours that a thread takes at once
constexpr int64_t kTile = kThreads * kEach;
constexpr int64_t kMostParts = JAXTBE_LIMIT(kMostOffsetParts, 3);

__device__ __forceinline__ int32_t Larger(int32_t a, int32_t b) { return a > b ? a : b; }

struct BlockLargest {
  int32_t before;  // in the threads before this one, or 0
  int32_t all;
};

// The largest of one number a thread, none of them negative. Shared: `of_warps`, one number a warp.
__device__ __forceinline__ BlockLargest LargestOfBlock(int32_t x, int32_t* of_warps) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    x = Larger(x, __shfl_sync(kAllLanes, x, lane < distance ? 0 : lane - distance));
  }
  const int32_t left = __shfl_sync(kAllLanes, x, lane == 0 ? 0 : lane - 1);
  if (lane == kWarp - 1) of_warps[warp] = x;
  __syncthreads();
  BlockLargest found = {lane == 0 ? 0 : left, 0};
#pragma unroll
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) found.before = Larger(found.before, of_warps[w]);
    found.all = Larger(found.all, of_warps[w]);
  }
  __syncthreads();  // all have read, and the array may be written again
  return found;
}

// The largest offset of each part, or 0.
//
// Grid: one block of kThreads for each part. Shared: one number a warp.
__global__ void LargestOffsetsKernel(RisingOffsets::Call call, int64_t parts) {
  JAXTBE_SHARED(int32_t, of_warps, kWarps);
  const Range part = Part(call.count, parts, blockIdx.x);
  int32_t largest = 0;
  for (int64_t i = part.begin + threadIdx.x; i < part.end; i += kThreads) largest = Larger(largest, call.offsets[i]);
  largest = LargestOfBlock(largest, of_warps).all;
  if (threadIdx.x == 0) call.scratch.largest[blockIdx.x] = largest;
}

// Writes the largest offset so far, from those of the parts before and a scan of its own.
//
// Grid: one block of kThreads for each part. Shared: one number a warp.
__global__ void RiseOffsetsKernel(RisingOffsets::Call call, int64_t parts) {
  JAXTBE_SHARED(int32_t, of_warps, kWarps);
  int32_t before = 0;
  for (unsigned p = threadIdx.x; p < blockIdx.x; p += kThreads) before = Larger(before, call.scratch.largest[p]);
  before = LargestOfBlock(before, of_warps).all;
  const Range part = Part(call.count, parts, blockIdx.x);
  for (int64_t tile = part.begin; tile < part.end; tile += kTile) {
    const int64_t first = tile + static_cast<int64_t>(threadIdx.x) * kEach;
    int32_t mine[kEach];
    int32_t largest = 0;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      if (first + k < part.end) largest = Larger(largest, call.offsets[first + k]);
      mine[k] = largest;
    }
    const BlockLargest others = LargestOfBlock(largest, of_warps);
    const int32_t start = Larger(before, others.before);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const int32_t offset = Larger(start, mine[k]);
      if (first + k < part.end) call.scratch.mended[first + k] = offset < call.num_ids ? offset : call.num_ids;
    }
    before = Larger(before, others.all);
  }
}

}  // namespace

// Two small kernels, and one alone for offsets that a block holds. They read and write each number once or twice: no
// atomics, and the same grids whatever the offsets are.
LaunchStatus RisingOffsets::Launch(cudaStream_t stream) const {
  Launcher launch(stream);
  for (const Call& call : calls_) {
    const int64_t parts = std::min((call.count + kTile - 1) / kTile, kMostParts);
    const dim3 grid(static_cast<unsigned>(parts));
    if (parts > 1) {
      launch.RunGrid("LargestOffsetsKernel", LargestOffsetsKernel, grid, kThreads, call, parts);
    }
    launch.RunGrid("RiseOffsetsKernel", RiseOffsetsKernel, grid, kThreads, call, parts);
  }
  return launch.status();
}

}  // namespace jaxtbe
