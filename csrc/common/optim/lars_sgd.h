#pragma once

#include "csrc/common/math.h"
#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// a = lr * eta * norm(w) / (norm(g) + decay * norm(w)); mu = momentum * mu + a * (g + decay * w); w -= mu
// a = lr where either norm is 0, so that a row of zeros can leave zero.
struct LarsSgd {
  static constexpr const char* kName = "lars_sgd";
  static constexpr int kElementStates = 1, kRowStates = 0, kNumbers = 2;
  Hyper h;
  float momentum, eta;
  JAXTBE_HD LarsSgd(const Hyper& hyper, const float* own) : h(hyper), momentum(own[0]), eta(own[1]) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    const float w_norm = Sqrt(row.Sum([](const auto& e) { return e.w * e.w; }));
    const float g_norm = Sqrt(row.Sum([](const auto& e) { return e.g * e.g; }));
    const float a = w_norm > 0 && g_norm > 0 ? h.lr * eta * w_norm / (g_norm + h.decay * w_norm) : h.lr;
    row.Update([this, a](auto& e) {
      e.state[0] = momentum * e.state[0] + a * (e.g + h.decay * e.w);
      e.w -= e.state[0];
    });
  }
};

}  // namespace jaxtbe
