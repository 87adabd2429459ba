// Backward fused with the optimizer: every touched row is summed and updated once, by one owner.
#pragma once

#include <cstddef>
#include <cstdint>

#include "csrc/common/optim/rules.h"
#include "csrc/cpu/occurrences.h"

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
  uint32_t noise_key;                             // of (seed, step, table)
};

struct UpdateArgs {
  DType dtype;
  Rule rule;
  const UpdateTable* tables;
  const SourceTable* shapes;
  int64_t num_tables;
  const Source* sources;
  int64_t num_sources;
  int64_t capacity;  // ids of all lookups together
  void* scratch;     // UpdateScratchBytes(capacity, largest dim)
};

size_t UpdateScratchBytes(int64_t capacity, int64_t max_dim);
void Update(const UpdateArgs& args, const Pool& pool);

}  // namespace jaxtbe
