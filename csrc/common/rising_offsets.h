// Offsets as bags need them: never falling, and within the ids.
//
// What broken offsets mean, everywhere alike: each is the largest so far, cut to [0, num_ids]. So bags never overlap,
// and what writes one number an id has one writer.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/arena.h"

namespace jaxtbe {

// Runs of offsets that CUDA looks at side by side, at most.
constexpr int64_t kMostOffsetParts = 256;

// The scratch of some offsets: as large on every platform, because a program may be traced on one for another.
struct OffsetsScratch {
  int32_t* mended;   // [count]
  int32_t* largest;  // [kMostOffsetParts], of each part: for CUDA

  OffsetsScratch(int64_t count, Arena& arena)
      : mended(arena.Take<int32_t>(count)), largest(arena.Take<int32_t>(kMostOffsetParts)) {}

  static size_t Bytes(int64_t count) {
    Arena arena(nullptr);
    OffsetsScratch(count, arena);
    return arena.used();
  }
};

// The scratch of a call, whose first part is that of its offsets.
class CallScratch {
 public:
  CallScratch(void* data, size_t bytes) : data_(static_cast<unsigned char*>(data)), bytes_(bytes), arena_(data) {}

  OffsetsScratch ForOffsets(int64_t count) { return OffsetsScratch(count, arena_); }

  // Whether what was taken lies within.
  bool fits() const { return arena_.used() <= bytes_; }

  // What the offsets leave.
  void* rest() const { return fits() ? data_ + arena_.used() : nullptr; }
  size_t rest_bytes() const { return fits() ? bytes_ - arena_.used() : 0; }

 private:
  unsigned char* data_;
  size_t bytes_;
  Arena arena_;
};

}  // namespace jaxtbe
