#pragma once

#include "csrc/common/math.h"
#include "csrc/common/optim/hyper.h"

namespace jaxtbe {

// The numbers of the Adam family. c1 and c2 are the bias corrections 1 - b1^t and 1 - b2^t.
struct Moments {
  float b1, b2, eps, c1, c2;
  JAXTBE_HD explicit Moments(const float* own) : b1(own[0]), b2(own[1]), eps(own[2]), c1(own[3]), c2(own[4]) {}

  template <class V>
  JAXTBE_HD V First(V mu, V g) const {
    return b1 * mu + (1 - b1) * g;
  }
  template <class V>
  JAXTBE_HD V Second(V nu, V square) const {
    return b2 * nu + (1 - b2) * square;
  }
  template <class V>
  JAXTBE_HD V Denominator(V nu) const {
    return Sqrt(nu / c2) + eps;
  }
};

// mu, nu: first and second moment. w -= lr * (mu / c1 / (sqrt(nu / c2) + eps) + decay * w)
struct Adam {
  static constexpr const char* kName = "adam";
  static constexpr int kElementStates = 2, kRowStates = 0, kNumbers = 5;
  Hyper h;
  Moments m;
  JAXTBE_HD Adam(const Hyper& hyper, const float* own) : h(hyper), m(own) {}

  template <class Row>
  JAXTBE_HD void operator()(Row& row) const {
    row.Update([this](auto& e) {
      e.state[0] = m.First(e.state[0], e.g);
      e.state[1] = m.Second(e.state[1], e.g * e.g);
      e.w -= h.lr * (e.state[0] / m.c1 / m.Denominator(e.state[1]) + h.decay * e.w);
    });
  }
};

}  // namespace jaxtbe
