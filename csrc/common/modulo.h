// Remainders of unsigned 64-bit numbers by a divisor that is known in advance.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

namespace jaxtbe {

// The upper half of a 128-bit product.
JAXTBE_HD uint64_t MultiplyHigh(uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH__)
  return __umul64hi(a, b);
#else
  return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> 64);
#endif
}

// Barrett reduction: a multiplication in place of a division, which GPUs do not have and CPUs do slowly. The reciprocal
// is short of 2^64 / divisor by at most 1, so the quotient of any 64-bit number is short by at most 1: one correction.
class Modulo {
 public:
  explicit Modulo(uint64_t divisor = 1) : divisor_(divisor), reciprocal_(~uint64_t{0} / divisor) {}

  JAXTBE_HD uint64_t operator()(uint64_t n) const {
    const uint64_t remainder = n - MultiplyHigh(n, reciprocal_) * divisor_;
    return remainder >= divisor_ ? remainder - divisor_ : remainder;
  }
  JAXTBE_HD uint64_t divisor() const { return divisor_; }

 private:
  uint64_t divisor_, reciprocal_;
};

}  // namespace jaxtbe
