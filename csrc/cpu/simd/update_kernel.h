// The rows of one part of the sorted occurrences, of one instruction set and one rule.
#pragma once

#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

template <class Rule>
void UpdateRows(const UpdateRun& run, Range range, float* buffer);

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
