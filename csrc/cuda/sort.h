// Stable radix sort of 32-bit keys with 32-bit values.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/cuda/launch.h"

namespace jaxtbe {

// An upper bound of what the sort of `count` pairs asks for, known without a device: one more copy of the pairs, one
// counter for each digit and tile (CUB's tiles have thousands of pairs; 1024 are assumed), and some histograms.
inline size_t SortScratchBytes(int64_t count) { return static_cast<size_t>(9 * count) + (size_t{128} << 10); }

// Sorts by the lowest `key_bits` bits. The four arrays are distinct.
void SortPairs(Launcher& launch, const uint32_t* keys, const uint32_t* values, int64_t count, int key_bits,
               void* scratch, size_t scratch_bytes, uint32_t* sorted_keys, uint32_t* sorted_values);

inline int BitWidth(uint64_t x) {
  int bits = 0;
  for (; x != 0; x >>= 1) ++bits;
  return bits;
}

}  // namespace jaxtbe
