// The extension module of the CUDA kernels.
#include "xla_ffi/module_common.h"

PYBIND11_MODULE(_cuda, m) {
  jaxtbe::DefineCommon(m);
  m.def("architectures", [] { return JAXTBE_CUDA_ARCHITECTURES; }, "What the kernels were compiled for.");
}
