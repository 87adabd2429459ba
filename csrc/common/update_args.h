// What an update is called with.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"
#include "csrc/common/optim/rules.h"
#include "csrc/common/source.h"

namespace jaxtbe {

enum class Rule : int {
#define JAXTBE_RULE_ENUM(Name) k##Name,
  JAXTBE_FOR_EACH_RULE(JAXTBE_RULE_ENUM)
#undef JAXTBE_RULE_ENUM
};

struct UpdateTable {
  void* data;                                     // [rows, dim] of the call's dtype
  void* element_states[kMaxElementStates];        // [rows, dim]
  DType element_state_dtypes[kMaxElementStates];  // float32, or bfloat16
  float* row_states[kMaxRowStates];               // [rows]
  const float* hyper;                             // see csrc/common/optim/hyper.h
  uint32_t number;                                // what stochastic rounding knows the table by
};

struct UpdateArgs {
  DType dtype;
  Rule rule;
  const UpdateTable* tables;
  const SourceTable* shapes;
  int64_t num_tables;
  const Source* sources;
  int64_t num_sources;
  int64_t capacity;       // ids of all lookups together
  const uint32_t* noise;  // of stochastic rounding: seed, step, and each table's first row in the whole of it
  void* scratch;          // UpdateScratchBytes(capacity, largest dim, num_tables)
};

}  // namespace jaxtbe
