// The numbers that steer an update of one table, as one row of the `hyper` operand f32[tables, K].
#pragma once

#include "csrc/common/macros.h"

namespace jaxtbe {

// The first columns, common to every rule; a rule's own follow, in the order of its Python twin.
struct Hyper {
  float lr;          // learning rate
  float decay;       // decoupled weight decay: w -= lr * decay * w
  float l2;          // L2 weight decay: g += l2 * w
  float clip;        // g is clipped to [-clip, clip], before l2; infinity: off
  float max_norm;    // a longer row is scaled back to this norm after the update; infinity: off
  float stochastic;  // not 0: 16-bit tables are rounded stochastically
};
constexpr int kNumCommonHypers = 6;

}  // namespace jaxtbe
