#include "csrc/cuda/update_rows_of.h"

namespace jaxtbe {

void UpdateBFloat16Rows(Launcher& launch, const UpdateRun& run) { UpdateRows<BFloat16>(launch, run); }

}  // namespace jaxtbe
