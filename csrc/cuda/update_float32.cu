#include "csrc/cuda/update_rows_of.h"

namespace jaxtbe {

void UpdateFloat32Rows(Launcher& launch, const UpdateRun& run) { UpdateRows<float>(launch, run); }

}  // namespace jaxtbe
