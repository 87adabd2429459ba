#include "csrc/common/half.h"
#include "csrc/cpu/simd/kernels.h"
#include "csrc/cpu/simd/lookup_kernel.h"
#include "csrc/cpu/simd/row_gradients_kernel.h"
#include "csrc/cpu/simd/update_kernel.h"
#include "csrc/cpu/simd/zch_locate_kernel.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

#define JAXTBE_STRING(x) #x
#define JAXTBE_NAME(x) JAXTBE_STRING(x)
#define JAXTBE_UPDATE(Rule) &UpdateRows<Rule>,

extern const Kernels kKernels = {
    JAXTBE_NAME(JAXTBE_SIMD),
    {&LookupBags<float>, &LookupBags<BFloat16>, &LookupBags<Float16>},
    {&IdWeightsGradBags<float>, &IdWeightsGradBags<BFloat16>, &IdWeightsGradBags<Float16>},
    {JAXTBE_FOR_EACH_RULE(JAXTBE_UPDATE)},
    &SquareNorms,
    &WriteGradients,
    &LocateIds,
};

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
