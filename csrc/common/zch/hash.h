// The hash that decides where a raw id lives: MurmurHash3 x64-128 of the 16-byte block (id, 0), its halves XORed.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"

namespace jaxtbe {

JAXTBE_HD uint64_t RotateLeft(uint64_t x, int bits) { return (x << bits) | (x >> (64 - bits)); }

// MurmurHash3's 64-bit finalizer.
JAXTBE_HD uint64_t Avalanche(uint64_t x) {
  x ^= x >> 33;
  x *= 0xff51afd7ed558ccdull;
  x ^= x >> 33;
  x *= 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

// Written from the public-domain description of MurmurHash3 (Austin Appleby), with seed 0. The second word of the block
// is 0, and so is what it would mix into the state.
JAXTBE_HD uint64_t ZchHash(uint64_t id) {
  constexpr uint64_t kLength = 16;
  uint64_t low = RotateLeft(id * 0x87c37b91114253d5ull, 31) * 0x4cf5ad432745937full;
  low = RotateLeft(low, 27) * 5 + 0x52dce729;
  uint64_t high = low * 5 + 0x38495ab5;
  low ^= kLength;
  high ^= kLength;
  low += high;
  high += low;
  low = Avalanche(low);
  high = Avalanche(high);
  low += high;
  high += low;
  return low ^ high;
}

}  // namespace jaxtbe
