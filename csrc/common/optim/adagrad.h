#pragma once

#include "csrc/common/math.h"
#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// s += g * g; w -= lr * (g / (sqrt(s) + eps) + decay * w)
struct Adagrad {
  static constexpr const char* kName = "adagrad";
  static constexpr int kElementStates = 1, kRowStates = 0, kNumbers = 1;
  Hyper h;
  float eps;
  JAXTBE_HD Adagrad(const Hyper& hyper, const float* own) : h(hyper), eps(own[0]) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([this](auto& e) {
      e.state[0] += e.g * e.g;
      e.w -= h.lr * (e.g / (Sqrt(e.state[0]) + eps) + h.decay * e.w);
    });
  }
};

}  // namespace jaxtbe
