// What every extension module exports: FFI targets as capsules, facts about the build, and sizes that Python must know.
#pragma once

#include <pybind11/pybind11.h>

#include "csrc/common/optim/rules.h"
#include "csrc/common/rising_offsets.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

namespace jaxtbe {

namespace py = pybind11;

// The twin of INTERFACE_VERSION in jaxtbe/_native.py.
constexpr int kInterfaceVersion = 7;

inline py::capsule Capsule(XLA_FFI_Error* (*handler)(XLA_FFI_CallFrame*)) {
  return py::capsule(reinterpret_cast<void*>(handler), "xla._CUSTOM_CALL_TARGET");
}

inline py::dict Registrations() {
  py::dict targets;
  targets["jaxtbe_lookup"] = Capsule(LookupHandler);
  targets["jaxtbe_count_faults"] = Capsule(CountFaultsHandler);
  targets["jaxtbe_id_weights_grad"] = Capsule(IdWeightsGradHandler);
  targets["jaxtbe_update"] = Capsule(UpdateHandler);
  targets["jaxtbe_square_norms"] = Capsule(SquareNormsHandler);
  targets["jaxtbe_row_gradients"] = Capsule(RowGradientsHandler);
  targets["jaxtbe_gather_rows"] = Capsule(GatherRowsHandler);
  targets["jaxtbe_store_rows"] = Capsule(StoreRowsHandler);
  targets["jaxtbe_reset_rows"] = Capsule(ResetRowsHandler);
  targets["jaxtbe_zch_find"] = Capsule(ZchFindHandler);
  targets["jaxtbe_zch_insert"] = Capsule(ZchInsertHandler);
  return targets;
}

// Name to (element states, row states, numbers of its own) of every update rule.
inline py::dict Rules() {
  py::dict rules;
#define JAXTBE_ADD_RULE(Name) \
  rules[Name::kName] = py::make_tuple(int{Name::kElementStates}, int{Name::kRowStates}, int{Name::kNumbers});
  JAXTBE_FOR_EACH_RULE(JAXTBE_ADD_RULE)
#undef JAXTBE_ADD_RULE
  return rules;
}

inline void DefineCommon(py::module_& m) {
  m.def("registrations", &Registrations, "FFI target name to capsule.");
  m.def(
      "ffi_api_version", [] { return py::make_tuple(XLA_FFI_API_MAJOR, XLA_FFI_API_MINOR); },
      "The XLA FFI version this library was built with.");
  m.def("interface_version", [] { return kInterfaceVersion; }, "Changes with the operands or attributes of a target.");
  m.def("rules", &Rules, "Update rule to its numbers of element states, row states and numbers of its own.");
  m.def("offsets_scratch_bytes", &OffsetsScratch::Bytes, py::arg("count"));
  m.def("update_scratch_bytes", &UpdateScratchBytes, py::arg("capacity"), py::arg("max_dim"), py::arg("num_tables"));
  m.def("row_gradients_scratch_bytes", &RowGradientsScratchBytes, py::arg("capacity"), py::arg("max_dim"),
        py::arg("num_tables"));
  m.def("zch_insert_scratch_bytes", &ZchInsertScratchBytes, py::arg("num_ids"));
}

}  // namespace jaxtbe
