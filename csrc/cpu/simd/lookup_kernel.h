// One feature's bags, of one instruction set.
#pragma once

#include "csrc/common/lookup_args.h"
#include "csrc/cpu/faults.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

template <class T>
Faults LookupBags(const LookupArgs& args, int64_t feature, Range samples);
template <class T>
void IdWeightsGradBags(const IdWeightsGradArgs& args, int64_t feature, Range samples);

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
