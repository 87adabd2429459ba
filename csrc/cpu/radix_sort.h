// Stable parallel radix sort of 64-bit entries by some bits of their upper half.
#pragma once

#include <cstdint>

#include "csrc/common/arena.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

class RadixSort {
 public:
  // Sorts by the lowest `key_bits` bits of the upper 32. The scratch is for at most `capacity` entries.
  RadixSort(int64_t capacity, Arena& arena)
      : other_(arena.Take<uint64_t>(capacity)), counts_(arena.Take<uint32_t>(kParts * kMaxBuckets)) {}

  // Returns the sorted entries: `entries` itself or the scratch.
  uint64_t* Run(uint64_t* entries, int64_t n, int key_bits, const Pool& pool) const;

 private:
  static constexpr int kParts = 8, kMaxDigitBits = 11, kMaxBuckets = 1 << kMaxDigitBits;
  uint64_t* other_;
  uint32_t* counts_;
};

}  // namespace jaxtbe
