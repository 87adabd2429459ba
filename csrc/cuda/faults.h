// Ids at or past their table's end: how many of each feature, and the first.
#pragma once

#include "csrc/cuda/launch.h"

namespace jaxtbe {

// Until FinishFaults, the second number is the first position, and not yet the id there: an atomic minimum finds it in
// any order of threads.
struct FaultCounter {
  int32_t* faults;  // [num_features, 2]
  __device__ __forceinline__ void Add(int feature, int64_t position) const {
    atomicAdd(faults + 2 * feature, 1);
    atomicMin(faults + 2 * feature + 1, static_cast<int32_t>(position));
  }
};

void StartFaults(Launcher& launch, int32_t* faults, int64_t num_features);
void FinishFaults(Launcher& launch, int32_t* faults, int64_t num_features, const int32_t* ids);

}  // namespace jaxtbe
