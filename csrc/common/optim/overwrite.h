#pragma once

#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// w = -lr * g, whatever the row held: the update of a table that write-only features write.
struct Overwrite {
  static constexpr const char* kName = "overwrite";
  static constexpr int kElementStates = 0, kRowStates = 0, kNumbers = 0;
  Hyper h;
  JAXTBE_HD Overwrite(const Hyper& hyper, const float*) : h(hyper) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([this](auto& e) { e.w = e.g * -h.lr; });
  }
};

}  // namespace jaxtbe
