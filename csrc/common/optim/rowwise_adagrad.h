#pragma once

#include "csrc/common/math.h"
#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// s += mean(g * g), one number a row; w -= lr * (g / (sqrt(s) + eps) + decay * w)
struct RowwiseAdagrad {
  static constexpr const char* kName = "rowwise_adagrad";
  static constexpr int kElementStates = 0, kRowStates = 1, kNumbers = 1;
  Hyper h;
  float eps;
  JAXTBE_HD RowwiseAdagrad(const Hyper& hyper, const float* own) : h(hyper), eps(own[0]) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    const float s = row.RowState(0) + row.Sum([](const auto& e) { return e.g * e.g; }) / row.dim;
    row.SetRowState(0, s);
    const float step = h.lr / (Sqrt(s) + eps), shrink = h.lr * h.decay;
    row.Update([step, shrink](auto& e) { e.w -= step * e.g + shrink * e.w; });
  }
};

}  // namespace jaxtbe
