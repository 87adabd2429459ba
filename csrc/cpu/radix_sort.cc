#include "csrc/cpu/radix_sort.h"

#include <cstring>
#include <utility>

namespace jaxtbe {
namespace {

// Turns counts[part][bucket] into the place of the part's first entry of that bucket: buckets first, then parts, which
// keeps the sort stable.
void ExclusiveSum(uint32_t* counts, int64_t parts, int64_t buckets) {
  uint32_t sum = 0;
  for (int64_t bucket = 0; bucket < buckets; ++bucket) {
    for (int64_t part = 0; part < parts; ++part) {
      sum += std::exchange(counts[part * buckets + bucket], sum);
    }
  }
}

}  // namespace

uint64_t* RadixSort::Run(uint64_t* entries, int64_t n, int key_bits, const Pool& pool) const {
  const int passes = std::max(1, (key_bits + kMaxDigitBits - 1) / kMaxDigitBits);
  const int digit_bits = (key_bits + passes - 1) / passes;
  const int64_t buckets = int64_t{1} << digit_bits;
  const uint64_t mask = buckets - 1;
  const int64_t parts = NumParts(n, 4096, kParts);

  uint64_t *from = entries, *to = other_;
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = 32 + pass * digit_bits;
    ParallelFor(pool, parts, [&](int64_t part) {
      uint32_t* count = counts_ + part * buckets;
      std::memset(count, 0, sizeof(uint32_t) * buckets);
      const Range range = Part(n, parts, part);
      for (int64_t i = range.begin; i < range.end; ++i) ++count[(from[i] >> shift) & mask];
    });
    ExclusiveSum(counts_, parts, buckets);
    ParallelFor(pool, parts, [&](int64_t part) {
      uint32_t* place = counts_ + part * buckets;
      const Range range = Part(n, parts, part);
      for (int64_t i = range.begin; i < range.end; ++i) to[place[(from[i] >> shift) & mask]++] = from[i];
    });
    std::swap(from, to);
  }
  return from;
}

}  // namespace jaxtbe
