#pragma once

#include "csrc/common/optim/lamb.h"

namespace jaxtbe {

// LAMB whose second moment is one number a row, of mean(g * g).
struct PartialRowwiseLamb {
  static constexpr const char* kName = "partial_rowwise_lamb";
  static constexpr int kElementStates = 1, kRowStates = 1, kNumbers = 5;
  Hyper h;
  Moments m;
  JAXTBE_HD PartialRowwiseLamb(const Hyper& hyper, const float* own) : h(hyper), m(own) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    const float nu = m.Second(row.RowState(0), row.Sum([](const auto& e) { return e.g * e.g; }) / row.dim);
    row.SetRowState(0, nu);
    const float denominator = m.Denominator(nu);
    row.Update([this](auto& e) { e.state[0] = m.First(e.state[0], e.g); });
    const auto direction = [this, denominator](const auto& e) {
      return e.state[0] / m.c1 / denominator + h.decay * e.w;
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
