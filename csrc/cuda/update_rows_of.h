// The body of update_float32.cu and its siblings.
#pragma once

#include "csrc/cuda/update_rows.h"
#include "csrc/cuda/update_visitor.h"

namespace jaxtbe {

template <class T>
void UpdateRows(Launcher& launch, const UpdateRun& run) {
  const UpdateArgs& args = run.args;
  switch (args.rule) {
#define JAXTBE_UPDATE_CASE(Name)                                                           \
  case Rule::k##Name:                                                                      \
    return VisitTouchedRows(launch, run.sorted, args.shapes, args.num_tables, run.scratch, \
                            UpdateVisitor<Name, T>{run.tables, args.noise});
    JAXTBE_FOR_EACH_RULE(JAXTBE_UPDATE_CASE)
#undef JAXTBE_UPDATE_CASE
  }
}

}  // namespace jaxtbe
