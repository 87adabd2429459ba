// The extension module: FFI targets as capsules, facts about the build, and sizes that Python must know.
#include <pybind11/pybind11.h>

#include "csrc/cpu/row_gradients.h"
#include "csrc/cpu/simd/kernels.h"
#include "csrc/cpu/zch_insert.h"
#include "xla_ffi/handlers.h"

namespace py = pybind11;

namespace {

// The twin of INTERFACE_VERSION in jaxtbe/_native.py.
constexpr int kInterfaceVersion = 3;

py::capsule Capsule(XLA_FFI_Error* (*handler)(XLA_FFI_CallFrame*)) {
  return py::capsule(reinterpret_cast<void*>(handler), "xla._CUSTOM_CALL_TARGET");
}

py::dict Registrations() {
  py::dict targets;
  targets["jaxtbe_lookup"] = Capsule(jaxtbe::LookupHandler);
  targets["jaxtbe_count_faults"] = Capsule(jaxtbe::CountFaultsHandler);
  targets["jaxtbe_id_weights_grad"] = Capsule(jaxtbe::IdWeightsGradHandler);
  targets["jaxtbe_update"] = Capsule(jaxtbe::UpdateHandler);
  targets["jaxtbe_square_norms"] = Capsule(jaxtbe::SquareNormsHandler);
  targets["jaxtbe_row_gradients"] = Capsule(jaxtbe::RowGradientsHandler);
  targets["jaxtbe_gather_rows"] = Capsule(jaxtbe::GatherRowsHandler);
  targets["jaxtbe_store_rows"] = Capsule(jaxtbe::StoreRowsHandler);
  targets["jaxtbe_reset_rows"] = Capsule(jaxtbe::ResetRowsHandler);
  targets["jaxtbe_zch_find"] = Capsule(jaxtbe::ZchFindHandler);
  targets["jaxtbe_zch_insert"] = Capsule(jaxtbe::ZchInsertHandler);
  return targets;
}

}  // namespace

PYBIND11_MODULE(_cpu, m) {
  m.def("registrations", &Registrations, "FFI target name to capsule, for platform 'cpu'.");
  m.def(
      "ffi_api_version", [] { return py::make_tuple(XLA_FFI_API_MAJOR, XLA_FFI_API_MINOR); },
      "The XLA FFI version this library was built with.");
  m.def("interface_version", [] { return kInterfaceVersion; }, "Changes with the operands or attributes of a target.");
  m.def("simd_level", [] { return jaxtbe::BestKernels().simd_level; }, "The instruction set the kernels use.");
  m.def("update_scratch_bytes", &jaxtbe::UpdateScratchBytes, py::arg("capacity"), py::arg("max_dim"));
  m.def("row_gradients_scratch_bytes", &jaxtbe::RowGradientsScratchBytes, py::arg("capacity"), py::arg("max_dim"));
  m.def("zch_insert_scratch_bytes", &jaxtbe::ZchInsertScratchBytes, py::arg("num_ids"));
}
