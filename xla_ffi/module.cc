// The extension module of the CPU kernels.
#include "csrc/cpu/simd/kernels.h"
#include "xla_ffi/module_common.h"

PYBIND11_MODULE(_cpu, m) {
  jaxtbe::DefineCommon(m);
  m.def("simd_level", [] { return jaxtbe::BestKernels().simd_level; }, "The instruction set the kernels use.");
}
