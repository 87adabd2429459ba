#pragma once

#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// w = g, without arithmetic, so that subnormal numbers and the signs of zeros survive flush-to-zero modes.
struct Assign {
  static constexpr const char* kName = "assign";
  static constexpr int kElementStates = 0, kRowStates = 0, kNumbers = 0;
  JAXTBE_HD Assign(const Hyper&, const float*) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([](auto& e) { e.w = e.g; });
  }
};

}  // namespace jaxtbe
