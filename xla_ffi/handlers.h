// The handlers that module.cc registers.
#pragma once

#include "xla/ffi/api/ffi.h"

namespace jaxtbe {

XLA_FFI_DECLARE_HANDLER_SYMBOL(LookupHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(CountFaultsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(IdWeightsGradHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(UpdateHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(SquareNormsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(RowGradientsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(GatherRowsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(StoreRowsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(ResetRowsHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(ZchFindHandler);
XLA_FFI_DECLARE_HANDLER_SYMBOL(ZchInsertHandler);

}  // namespace jaxtbe
