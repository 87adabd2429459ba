// Every update rule. To add one: write its struct beside these, list it here, and add its file in jaxtbe/optim/rules.
#pragma once

#include "csrc/common/optim/adagrad.h"
#include "csrc/common/optim/adam.h"
#include "csrc/common/optim/assign.h"
#include "csrc/common/optim/lamb.h"
#include "csrc/common/optim/lars_sgd.h"
#include "csrc/common/optim/overwrite.h"
#include "csrc/common/optim/partial_rowwise_adam.h"
#include "csrc/common/optim/partial_rowwise_lamb.h"
#include "csrc/common/optim/rowwise_adagrad.h"
#include "csrc/common/optim/sgd.h"

#define JAXTBE_FOR_EACH_RULE(X) \
  X(Sgd)                        \
  X(Overwrite)                  \
  X(Assign)                     \
  X(Adagrad)                    \
  X(RowwiseAdagrad)             \
  X(Adam)                       \
  X(PartialRowwiseAdam)         \
  X(Lamb)                       \
  X(PartialRowwiseLamb)         \
  X(LarsSgd)

namespace jaxtbe {

#define JAXTBE_COUNT_RULE(Rule) +1
constexpr int kNumRules = 0 JAXTBE_FOR_EACH_RULE(JAXTBE_COUNT_RULE);
#undef JAXTBE_COUNT_RULE

constexpr int kMaxElementStates = 2, kMaxRowStates = 1;

// The arrays of UpdateTable, and the scratch of a row, have room for so many.
#define JAXTBE_STATES_FIT(Rule)                                                        \
  static_assert(Rule::kElementStates <= kMaxElementStates, "raise kMaxElementStates"); \
  static_assert(Rule::kRowStates <= kMaxRowStates, "raise kMaxRowStates");
JAXTBE_FOR_EACH_RULE(JAXTBE_STATES_FIT)
#undef JAXTBE_STATES_FIT

}  // namespace jaxtbe
