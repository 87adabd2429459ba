// One row under update, as the rules of csrc/common/optim see it on the CPU. Everything is float32: rows and states of
// another dtype are staged in a buffer.
#pragma once

#include "csrc/cpu/simd/pack.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

template <int kElementStates>
struct Row {
  float* w;
  const float* g;
  float* new_g;  // where a gradient goes that is changed
  float* element_states[kElementStates > 0 ? kElementStates : 1];
  float* row_state;
  float dim;

  template <class V>
  struct Element {
    V w, g, state[kElementStates > 0 ? kElementStates : 1];
  };

  JAXTBE_HD float RowState(int) const { return *row_state; }
  JAXTBE_HD void SetRowState(int, float value) { *row_state = value; }

  // f(Element&) changes g of every element.
  template <class F>
  JAXTBE_HD void UpdateGradient(F f) {
    ForEachPack(static_cast<int64_t>(dim), [&](auto pack, int64_t i) {
      auto e = LoadElement<decltype(pack)>(i);
      f(e);
      Store(new_g + i, e.g);
    });
    g = new_g;
  }

  // f(Element&) changes w and state of every element.
  template <class F>
  JAXTBE_HD void Update(F f) {
    ForEachPack(static_cast<int64_t>(dim), [&](auto pack, int64_t i) {
      auto e = LoadElement<decltype(pack)>(i);
      f(e);
      Store(w + i, e.w);
      for (int k = 0; k < kElementStates; ++k) Store(element_states[k] + i, e.state[k]);
    });
  }

  // The sum of f(const Element&).
  template <class F>
  JAXTBE_HD float Sum(F f) const {
    return SumPacks(static_cast<int64_t>(dim), [&](auto pack, int64_t i) {
      const auto e = LoadElement<decltype(pack)>(i);
      return f(e);
    });
  }

 private:
  template <class V>
  JAXTBE_HD Element<V> LoadElement(int64_t i) const {
    Element<V> e;
    e.w = Load<V>(w + i);
    e.g = Load<V>(g + i);
    for (int k = 0; k < kElementStates; ++k) e.state[k] = Load<V>(element_states[k] + i);
    if constexpr (kElementStates == 0) e.state[0] = V{};  // nobody reads it, but elements are copied
    return e;
  }
};

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
