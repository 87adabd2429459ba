// The kernels of the baseline instruction set, and of them the one that the ZCH uses: the rest needs no sanitizer here.
#include "csrc/cpu/simd/kernels.h"
#include "csrc/cpu/simd/zch_locate_kernel.h"

namespace jaxtbe {

const Kernels& BestKernels() {
  static const Kernels kernels = [] {
    Kernels k = {};
    k.simd_level = "baseline";
    k.locate = &baseline::LocateIds;
    return k;
  }();
  return kernels;
}

}  // namespace jaxtbe
