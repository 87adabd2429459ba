#include "csrc/cuda/sort.h"

#if defined(JAXTBE_CUDA_EMULATION)
#include <algorithm>
#include <numeric>
#include <vector>
#else
#include <cub/device/device_radix_sort.cuh>
#endif

namespace jaxtbe {

#if defined(JAXTBE_CUDA_EMULATION)

void SortPairs(Launcher&, const uint32_t* keys, const uint32_t* values, int64_t count, int key_bits, void*, size_t,
               uint32_t* sorted_keys, uint32_t* sorted_values) {
  std::vector<int64_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  const uint64_t mask = (uint64_t{1} << key_bits) - 1;
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return (keys[a] & mask) < (keys[b] & mask); });
  for (int64_t i = 0; i < count; ++i) {
    sorted_keys[i] = keys[order[i]];
    sorted_values[i] = values[order[i]];
  }
}

#else

void SortPairs(Launcher& launch, const uint32_t* keys, const uint32_t* values, int64_t count, int key_bits,
               void* scratch, size_t scratch_bytes, uint32_t* sorted_keys, uint32_t* sorted_values) {
  if (!launch.ok() || count == 0) return;
  const char* const kName = "cub::DeviceRadixSort";
  if (count > INT32_MAX) return launch.Check(kName, cudaErrorInvalidValue);
  const int n = static_cast<int>(count);
  const auto sort = [&](void* temp, size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(temp, bytes, keys, sorted_keys, values, sorted_values, n, 0, key_bits,
                                           launch.stream());
  };
  size_t needed = 0;
  launch.Check(kName, sort(nullptr, needed));
  if (needed > scratch_bytes) launch.Check(kName, cudaErrorMemoryAllocation);
  if (launch.ok()) launch.Check(kName, sort(scratch, scratch_bytes));
}

#endif

}  // namespace jaxtbe
