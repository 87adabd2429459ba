// The update of the rows of sorted contributions, one function for each dtype: each is compiled on its own, and all
// instantiations of the backward with an optimizer are in these.
#pragma once

#include "csrc/common/update_args.h"
#include "csrc/cuda/backward.h"

namespace jaxtbe {

// `tables`: on the device.
struct UpdateRun {
  const UpdateArgs& args;
  const UpdateTable* tables;
  const SortedOccurrences& sorted;
  const BackwardScratch& scratch;
};

void UpdateFloat32Rows(Launcher& launch, const UpdateRun& run);
void UpdateBFloat16Rows(Launcher& launch, const UpdateRun& run);
void UpdateFloat16Rows(Launcher& launch, const UpdateRun& run);

}  // namespace jaxtbe
