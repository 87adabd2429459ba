// Where a warp keeps the numbers of one row, and which columns each lane works on: a policy of the backward kernels.
//
//   struct Columns {
//     using Floats;                             // one array of a row's length, spread over the lanes
//     ForEach(f)                                // f(i, column) for the elements that this lane has; i indexes Floats
//     LoadRow(const T*, Floats&)                // a row of some dtype
//     StoreRow(T*, f)                           // f(i, column) gives each element
//     Floats Take(k)                            // storage for the k-th array of this warp
//     MinBlocks(element_states)                 // blocks that an SM must hold at once
//   };
#pragma once

#include "csrc/common/optim/rules.h"
#include "csrc/cuda/row_io.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {

// In registers: rows of up to 128 * kTiles columns, four neighbours a lane.
template <int kTiles>
class RegisterColumns {
 public:
  static constexpr int64_t kMaxDim = 128 * kTiles;
  static constexpr bool kInRegisters = true;
  static constexpr int kRowsAhead = kTiles == 1 ? 4 : 1;  // contributions in flight: what registers are left for
  // For __launch_bounds__: 80 registers a thread, 96 where optimizer states take some, or as many as there are. With
  // more blocks nvcc spills.
  static constexpr int MinBlocks(int element_states) { return kTiles > 1 ? 1 : element_states > 0 ? 5 : 6; }
  struct Floats {
    ::jaxtbe::Floats<4> tiles[kTiles];
    __device__ __forceinline__ float& operator[](int i) { return tiles[i / 4].v[i % 4]; }
    __device__ __forceinline__ float operator[](int i) const { return tiles[i / 4].v[i % 4]; }
  };

  __device__ __forceinline__ RegisterColumns(int64_t dim, float*)
      : dim_(static_cast<int>(dim)), first_(static_cast<int>(threadIdx.x % kWarp) * 4) {}

  __device__ __forceinline__ Floats Take(int) const { return {}; }

  template <class F>
  __device__ __forceinline__ void ForEach(F f) const {
#pragma unroll
    for (int i = 0; i < 4 * kTiles; ++i) {
      const int column = ColumnOf(i);
      if (column < dim_) f(i, column);
    }
  }

  template <class T>
  __device__ __forceinline__ void LoadRow(const T* row, Floats& out) const {
    JAXTBE_IS_GLOBAL(row);
    if (MovesWords(row)) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (ColumnOf(4 * tile) < dim_) out.tiles[tile] = LoadWord<4>(row + ColumnOf(4 * tile));
      }
    } else {
      ForEach([&](int i, int column) { out[i] = ToFloat(row[column]); });
    }
  }

  template <class T, class F>
  __device__ __forceinline__ void StoreRow(T* row, F f) const {
    JAXTBE_IS_GLOBAL(row);
    if (MovesWords(row)) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const int column = ColumnOf(4 * tile);
        if (column >= dim_) continue;
        T elements[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) elements[k] = f(4 * tile + k, column + k);
        StoreWord(row + column, elements);
      }
    } else {
      ForEach([&](int i, int column) { row[column] = f(i, column); });
    }
  }

 private:
  __device__ __forceinline__ int ColumnOf(int i) const { return i / 4 * (4 * kWarp) + first_ + i % 4; }
  template <class T>
  __device__ __forceinline__ bool MovesWords(const T* row) const {
    return dim_ % 4 == 0 && IsAligned<4>(row);
  }

  int dim_, first_;
};

// In scratch memory: rows of any dim, every 32nd column a lane.
class MemoryColumns {
 public:
  static constexpr int64_t kMaxDim = INT64_MAX;
  static constexpr bool kInRegisters = false;
  static constexpr int MinBlocks(int) { return 4; }
  struct Floats {
    float* p;
    __device__ __forceinline__ float& operator[](int64_t i) { return p[i]; }
    __device__ __forceinline__ float operator[](int64_t i) const { return p[i]; }
  };

  __device__ __forceinline__ MemoryColumns(int64_t dim, float* scratch) : dim_(dim), scratch_(scratch) {}

  __device__ __forceinline__ Floats Take(int k) const { return {scratch_ + k * dim_}; }

  template <class F>
  __device__ __forceinline__ void ForEach(F f) const {
    for (int64_t column = threadIdx.x % kWarp; column < dim_; column += kWarp) f(column, column);
  }
  template <class T>
  __device__ __forceinline__ void LoadRow(const T* row, Floats& out) const {
    JAXTBE_IS_GLOBAL(row);
    ForEach([&](int64_t i, int64_t column) { out[i] = ToFloat(row[column]); });
  }
  template <class T, class F>
  __device__ __forceinline__ void StoreRow(T* row, F f) const {
    JAXTBE_IS_GLOBAL(row);
    ForEach([&](int64_t i, int64_t column) { row[column] = f(i, column); });
  }

 private:
  int64_t dim_;
  float* scratch_;
};

// Arrays of a row's length that a warp may take: gradient, row and states.
constexpr int kMaxRowArrays = 2 + kMaxElementStates;

}  // namespace jaxtbe
