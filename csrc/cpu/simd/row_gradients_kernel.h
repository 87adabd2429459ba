// The gradients of touched rows themselves, of one instruction set.
#pragma once

#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

// Adds the squared norm of every row's gradient to norms[table].
void SquareNorms(const TouchedRows& touched, Range range, float* buffer, double* norms);

// Writes row numbers and gradients [rows, dim], the tables all of one dim.
void WriteGradients(const TouchedRows& touched, Range range, float* buffer, int32_t* rows, float* gradients);

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
