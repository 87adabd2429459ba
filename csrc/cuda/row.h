// One row under update, as the rules of csrc/common/optim see it on CUDA: its elements are spread over the lanes of a
// warp, as float32, and sums over the row are added up in a fixed order.
#pragma once

#include "csrc/cuda/warp.h"

namespace jaxtbe {

template <class Columns, int kElementStates>
struct Row {
  using Floats = typename Columns::Floats;
  const Columns& columns;
  Floats w, g;
  Floats element_states[kElementStates > 0 ? kElementStates : 1];
  float row_state;  // every lane has it
  float dim;

  struct Element {
    float w, g, state[kElementStates > 0 ? kElementStates : 1];
  };

  __device__ __forceinline__ float RowState(int) const { return row_state; }
  __device__ __forceinline__ void SetRowState(int, float value) { row_state = value; }

  // f(Element&) changes g of every element.
  template <class F>
  __device__ __forceinline__ void UpdateGradient(F f) {
    columns.ForEach([&](auto i, auto) {
      Element e = ElementAt(i);
      f(e);
      g[i] = e.g;
    });
  }

  // f(Element&) changes w and state of every element.
  template <class F>
  __device__ __forceinline__ void Update(F f) {
    columns.ForEach([&](auto i, auto) {
      Element e = ElementAt(i);
      f(e);
      w[i] = e.w;
#pragma unroll
      for (int k = 0; k < kElementStates; ++k) element_states[k][i] = e.state[k];
    });
  }

  // The sum of f(const Element&).
  template <class F>
  __device__ __forceinline__ float Sum(F f) const {
    float sum = 0.0f;
    columns.ForEach([&](auto i, auto) {
      const Element e = ElementAt(i);
      sum += f(e);
    });
    return WarpSum(sum);
  }

 private:
  template <class I>
  __device__ __forceinline__ Element ElementAt(I i) const {
    Element e;
    e.w = w[i];
    e.g = g[i];
#pragma unroll
    for (int k = 0; k < kElementStates; ++k) e.state[k] = element_states[k][i];
    return e;
  }
};

}  // namespace jaxtbe
