#pragma once

#include "csrc/common/optim/adam.h"

namespace jaxtbe {

// LAMB's trust ratio norm(w) / norm(r), 1 where either norm is 0. Both come squared.
JAXTBE_HD float TrustRatio(float w_square, float r_square) {
  return w_square > 0 && r_square > 0 ? Sqrt(w_square) / Sqrt(r_square) : 1.0f;
}

// r = mu / c1 / (sqrt(nu / c2) + eps) + decay * w; w -= lr * norm(w) / norm(r) * r
struct Lamb {
  static constexpr const char* kName = "lamb";
  static constexpr int kElementStates = 2, kRowStates = 0, kNumbers = 5;
  Hyper h;
  Moments m;
  JAXTBE_HD Lamb(const Hyper& hyper, const float* own) : h(hyper), m(own) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([this](auto& e) {
      e.state[0] = m.First(e.state[0], e.g);
      e.state[1] = m.Second(e.state[1], e.g * e.g);
    });
    const auto direction = [this](const auto& e) {
      return e.state[0] / m.c1 / m.Denominator(e.state[1]) + h.decay * e.w;
    };
    const float w_square = row.Sum([](const auto& e) { return e.w * e.w; });
    const float r_square = row.Sum([&](const auto& e) {
      const auto r = direction(e);
      return r * r;
    });
    const float step = h.lr * TrustRatio(w_square, r_square);
    row.Update([&](auto& e) { e.w -= step * direction(e); });
  }
};

}  // namespace jaxtbe
