// The extension module of the emulated CUDA handlers. It has what jaxtbe._cpu has, and can be put in its place.
#include "tests/cuda_emulation/scheduler.h"
#include "xla_ffi/module_common.h"

PYBIND11_MODULE(_emulated, m) {
  jaxtbe::DefineCommon(m);
  m.def("simd_level", [] { return "CUDA emulation"; }, "In the place of an instruction set.");
  m.def(
      "set_schedule",
      [](const std::string& schedule, uint64_t seed, int resident_blocks) {
        using namespace jaxtbe::emulation;
        GetConfig() = {schedule == "first_in"  ? Schedule::kFirstIn
                       : schedule == "last_in" ? Schedule::kLastIn
                                               : Schedule::kRandom,
                       seed, resident_blocks};
      },
      pybind11::arg("schedule"), pybind11::arg("seed") = 1, pybind11::arg("resident_blocks") = 2,
      "'first_in', 'last_in' or 'random'.");
}
