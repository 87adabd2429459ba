// The offsets of a call as csrc/common/rising_offsets.h says. They lie on the device, where nothing of them is known
// when kernels are launched: so a copy is made, mended or not, and is what the kernels of the call read.
#pragma once

#include <cstdint>
#include <vector>

#include "csrc/common/rising_offsets.h"
#include "csrc/cuda/launch.h"

namespace jaxtbe {

class RisingOffsets : public CallScratch {
 public:
  using CallScratch::CallScratch;

  // Where the offsets will be when the kernels of Launch have run.
  const int32_t* Of(const int32_t* offsets, int64_t count, int64_t num_ids) {
    calls_.push_back({offsets, count, static_cast<int32_t>(num_ids), ForOffsets(count)});
    return calls_.back().scratch.mended;
  }

  // Fills all copies. The scratch fits.
  LaunchStatus Launch(cudaStream_t stream) const;

  struct Call {
    const int32_t* offsets;
    int64_t count;
    int32_t num_ids;
    OffsetsScratch scratch;
  };

 private:
  std::vector<Call> calls_;
};

}  // namespace jaxtbe
