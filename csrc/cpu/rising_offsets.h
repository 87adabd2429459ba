// The offsets of a call as csrc/common/rising_offsets.h says. Honest ones are looked at once and stay where they are.
#pragma once

#include <cstdint>

#include "csrc/common/rising_offsets.h"

namespace jaxtbe {

class RisingOffsets : public CallScratch {
 public:
  using CallScratch::CallScratch;

  // Null where the scratch is too small.
  const int32_t* Of(const int32_t* offsets, int64_t count, int64_t num_ids) {
    int32_t* mended = ForOffsets(count).mended;
    if (!fits()) return nullptr;
    if (count < 1 || Rise(offsets, count, num_ids)) return offsets;
    int32_t largest = 0;
    for (int64_t i = 0; i < count; ++i) {
      if (offsets[i] > largest) largest = static_cast<int32_t>(offsets[i] < num_ids ? offsets[i] : num_ids);
      mended[i] = largest;
    }
    return mended;
  }

 private:
  static bool Rise(const int32_t* offsets, int64_t count, int64_t num_ids) {
    int falls = offsets[0] < 0 || offsets[count - 1] > num_ids;
    for (int64_t i = 1; i < count; ++i) falls |= offsets[i] < offsets[i - 1];
    return falls == 0;
  }
};

}  // namespace jaxtbe
