// The kernels that are compiled once for each instruction set, and the choice among them.
#pragma once

#include "csrc/common/lookup_args.h"
#include "csrc/common/update_args.h"
#include "csrc/common/zch/probe.h"
#include "csrc/cpu/faults.h"
#include "csrc/cpu/occurrences.h"

namespace jaxtbe {

// What every task of an update shares.
struct UpdateRun {
  DType dtype;
  const UpdateTable* tables;
  const uint32_t* noise;  // see UpdateArgs
  const TouchedRows& rows;
};

struct Kernels {
  const char* simd_level;
  Faults (*lookup[kNumDTypes])(const LookupArgs&, int64_t feature, Range samples);
  void (*id_weights_grad[kNumDTypes])(const IdWeightsGradArgs&, int64_t feature, Range samples);
  // The rest visit the rows whose first sorted occurrence is in `range`. `buffer`: kUpdateBuffers * dim floats, or dim.
  void (*update[kNumRules])(const UpdateRun&, Range range, float* buffer);
  void (*square_norms)(const TouchedRows&, Range range, float* buffer, double* norms);
  void (*write_gradients)(const TouchedRows&, Range range, float* buffer, int32_t* rows, float* gradients);
  // `found[k]`: the slot of ids[k], or -1. At most kLocateGroup ids; -1 is none (and may be "found" in an empty slot).
  void (*locate)(const SlotIdentities&, const ProbeLayout&, const uint64_t* ids, int64_t count, int32_t* found);
};
constexpr int64_t kLocateGroup = 128;
constexpr int kUpdateBuffers = 2 + kMaxElementStates;  // gradient, row and states as float32

const Kernels& BestKernels();

namespace baseline {
extern const Kernels kKernels;
}
namespace avx2 {
extern const Kernels kKernels;
}
namespace avx512 {
extern const Kernels kKernels;
}

}  // namespace jaxtbe
