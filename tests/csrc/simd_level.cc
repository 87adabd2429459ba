// The instruction set that BestKernels() takes on this machine, of those that it is compiled with. No kernels are
// linked.
#include <cstdio>

#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace baseline {
extern const Kernels kKernels = {"baseline"};
}
namespace avx2 {
extern const Kernels kKernels = {"avx2"};
}
namespace avx512 {
extern const Kernels kKernels = {"avx512"};
}
}  // namespace jaxtbe

int main() { std::puts(jaxtbe::BestKernels().simd_level); }
