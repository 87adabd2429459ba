#pragma once

#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// w -= lr * (g + decay * w)
struct Sgd {
  static constexpr const char* kName = "sgd";
  static constexpr int kElementStates = 0, kRowStates = 0, kNumbers = 0;
  Hyper h;
  JAXTBE_HD Sgd(const Hyper& hyper, const float*) : h(hyper) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([this](auto& e) { e.w -= h.lr * (e.g + h.decay * e.w); });
  }
};

}  // namespace jaxtbe
