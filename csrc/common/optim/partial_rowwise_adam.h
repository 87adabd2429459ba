#pragma once

#include "csrc/common/optim/adam.h"

namespace jaxtbe {

// Adam whose second moment is one number a row, of mean(g * g).
struct PartialRowwiseAdam {
  static constexpr const char* kName = "partial_rowwise_adam";
  static constexpr int kElementStates = 1, kRowStates = 1, kNumbers = 5;
  Hyper h;
  Moments m;
  JAXTBE_HD PartialRowwiseAdam(const Hyper& hyper, const float* own) : h(hyper), m(own) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    const float nu = m.Second(row.RowState(0), row.Sum([](const auto& e) { return e.g * e.g; }) / row.dim);
    row.SetRowState(0, nu);
    const float denominator = m.Denominator(nu);
    row.Update([this, denominator](auto& e) {
      e.state[0] = m.First(e.state[0], e.g);
      e.w -= h.lr * (e.state[0] / m.c1 / denominator + h.decay * e.w);
    });
  }
};

}  // namespace jaxtbe
