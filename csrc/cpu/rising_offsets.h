// Offsets as bags need them: never falling, and within the ids.
#pragma once

#include <cstdint>
#include <list>
#include <vector>

namespace jaxtbe {

// What broken offsets mean, everywhere alike: each is the largest so far, cut to [0, num_ids]. So bags never overlap,
// and what writes one number an id has one writer. Honest offsets are looked at once and stay where they are.
class RisingOffsets {
 public:
  const int32_t* Of(const int32_t* offsets, int64_t count, int64_t num_ids) {
    if (count < 1 || Rise(offsets, count, num_ids)) return offsets;
    std::vector<int32_t>& mended = mended_.emplace_back(offsets, offsets + count);
    int32_t largest = 0;
    for (int32_t& offset : mended) {
      if (offset > largest) largest = static_cast<int32_t>(offset < num_ids ? offset : num_ids);
      offset = largest;
    }
    return mended.data();
  }

 private:
  static bool Rise(const int32_t* offsets, int64_t count, int64_t num_ids) {
    int falls = offsets[0] < 0 || offsets[count - 1] > num_ids;
    for (int64_t i = 1; i < count; ++i) falls |= offsets[i] < offsets[i - 1];
    return falls == 0;
  }

  std::list<std::vector<int32_t>> mended_;
};

}  // namespace jaxtbe
