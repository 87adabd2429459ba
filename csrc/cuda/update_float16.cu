#include "csrc/cuda/update_rows_of.h"

namespace jaxtbe {

void UpdateFloat16Rows(Launcher& launch, const UpdateRun& run) { UpdateRows<Float16>(launch, run); }

}  // namespace jaxtbe
