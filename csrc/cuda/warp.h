// What the lanes of a warp do together.
#pragma once

#include "csrc/cuda/launch.h"

namespace jaxtbe {

// The lanes of the group of `size` (a power of two) that this thread is in.
__device__ __forceinline__ unsigned GroupMask(int size) {
  if (size == kWarp) return kAllLanes;
  const unsigned first = threadIdx.x % kWarp / size * size;
  return ((1u << size) - 1u) << first;
}

// The sum over a group, in all of its lanes. The tree is fixed: the same bits every time.
__device__ __forceinline__ float GroupSum(unsigned mask, float x, int size) {
  for (int distance = size / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(mask, x, distance, size);
  return x;
}
__device__ __forceinline__ float WarpSum(float x) { return GroupSum(kAllLanes, x, kWarp); }

// The least of the numbers of a warp, in all of its lanes.
__device__ __forceinline__ uint64_t WarpLeast(uint64_t x) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    const uint64_t other = __shfl_xor_sync(kAllLanes, x, distance);
    x = other < x ? other : x;
  }
  return x;
}

// The first index in [0, count) whose sorted value is not below `value`, or `count`.
template <class T>
__device__ __forceinline__ int64_t LowerBound(const T* sorted, int64_t count, T value) {
  int64_t low = 0, high = count;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    if (sorted[middle] < value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace jaxtbe
