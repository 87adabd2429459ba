// The frame of every update of a row: what comes before a rule, and what after it.
#pragma once

#include "csrc/common/math.h"
#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// Scales a row back to the norm `limit` if it is longer.
template <class Row>
JAXTBE_HD void LimitNorm(Row& row, float limit) {
  if (IsOff(limit)) return;
  const auto norm_of_shrunk = [&row](float shrink) {
    return Sqrt(row.Sum([shrink](const auto& e) {
      const auto w = shrink * e.w;
      return w * w;
    }));
  };
  float shrink = 1.0f, norm = norm_of_shrunk(1.0f);
  if (!(norm > limit)) return;
  if (norm > kLargest) norm = norm_of_shrunk(shrink = kNormShrink);
  const float scale = limit / norm;
  row.Update([scale, shrink](auto& e) { e.w = scale * (shrink * e.w); });
}

// Clipping, L2 decay, the rule, the limit of the norm; in this order.
template <class Rule, class Row>
JAXTBE_HD void Step(const Rule& rule, const Hyper& h, Row& row) {
  if (!IsOff(h.clip) || h.l2 != 0) {
    row.UpdateGradient([&h](auto& e) {
      if (!IsOff(h.clip)) e.g = Clip(e.g, h.clip);
      if (h.l2 != 0) e.g += h.l2 * e.w;
    });
  }
  rule(row);
  LimitNorm(row, h.max_norm);
}

}  // namespace jaxtbe
