// What an update does with a touched row: load it with its optimizer state, apply a rule, store it.
#pragma once

#include "csrc/common/optim/step.h"
#include "csrc/common/rounding.h"
#include "csrc/common/update_args.h"
#include "csrc/cuda/backward.h"
#include "csrc/cuda/row.h"

namespace jaxtbe {

template <class Rule, class T>
struct UpdateVisitor {
  static constexpr int kElementStates = Rule::kElementStates;
  const UpdateTable* tables;
  const uint32_t* noise;

  template <class Columns>
  __device__ __forceinline__ void Visit(const Columns& columns, const typename Columns::Floats& g,
                                        const FinishedRow& touched) const {
    const UpdateTable& table = tables[touched.table];
    const Hyper hyper = *reinterpret_cast<const Hyper*>(table.hyper);
    const int64_t first = touched.row * touched.dim;
    T* weights = static_cast<T*>(table.data) + first;

    Row<Columns, kElementStates> row = {columns, columns.Take(1), g, {}, 0.0f, static_cast<float>(touched.dim)};
    columns.LoadRow(weights, row.w);
#pragma unroll
    for (int k = 0; k < kElementStates; ++k) {
      row.element_states[k] = columns.Take(2 + k);
      LoadState(columns, table, k, first, row.element_states[k]);
    }
    if constexpr (Rule::kRowStates > 0) row.row_state = table.row_states[0][touched.row];

    Step(Rule(hyper, table.hyper + kNumCommonHypers), hyper, row);

    StoreWeights(columns, hyper, touched, weights, row.w);
#pragma unroll
    for (int k = 0; k < kElementStates; ++k) StoreState(columns, table, k, first, row.element_states[k]);
    if constexpr (Rule::kRowStates > 0) {
      __syncwarp();  // every lane has read it
      if (threadIdx.x % kWarp == 0) table.row_states[0][touched.row] = row.row_state;
    }
  }

 private:
  template <class Columns, class Floats>
  __device__ __forceinline__ void StoreWeights(const Columns& columns, const Hyper& hyper, const FinishedRow& touched,
                                               T* weights, const Floats& w) const {
    if (sizeof(T) == 2 && hyper.stochastic != 0) {
      const uint32_t row = noise[2 + touched.table] + static_cast<uint32_t>(touched.row);
      const uint32_t key = RowNoiseKey(NoiseKey(noise[0], noise[1], tables[touched.table].number), row);
      columns.StoreRow(
          weights, [&](auto i, auto column) { return FromFloat<T>(w[i], Noise(key, static_cast<uint32_t>(column))); });
    } else {
      columns.StoreRow(weights, [&](auto i, auto) { return FromFloat<T>(w[i]); });
    }
  }

  template <class Columns, class Floats>
  __device__ __forceinline__ static void LoadState(const Columns& columns, const UpdateTable& table, int k,
                                                   int64_t first, Floats& out) {
    if (table.element_state_dtypes[k] == DType::kFloat32) {
      columns.LoadRow(static_cast<const float*>(table.element_states[k]) + first, out);
    } else {
      columns.LoadRow(static_cast<const BFloat16*>(table.element_states[k]) + first, out);
    }
  }

  template <class Columns, class Floats>
  __device__ __forceinline__ static void StoreState(const Columns& columns, const UpdateTable& table, int k,
                                                    int64_t first, const Floats& state) {
    if (table.element_state_dtypes[k] == DType::kFloat32) {
      columns.StoreRow(static_cast<float*>(table.element_states[k]) + first, [&](auto i, auto) { return state[i]; });
    } else {
      columns.StoreRow(static_cast<BFloat16*>(table.element_states[k]) + first,
                       [&](auto i, auto) { return FromFloat<BFloat16>(state[i]); });
    }
  }
};

}  // namespace jaxtbe
