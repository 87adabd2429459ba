// Decodes variadic operands and results one after another. Python has checked shapes and types before; what is checked
// here again can only be wrong when Python and the library are of different builds.
#pragma once

#include <string>

#include "csrc/common/modes.h"
#include "xla/ffi/api/ffi.h"

namespace jaxtbe {

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

inline ffi::Error BuildFault(const std::string& what) {
  return ffi::Error::Internal("jaxtbe: " + what +
                              ". The Python package and its native library differ: reinstall jaxtbe.");
}

// Reads operands in order. After a wrong one it reads on as nothing and remembers the first fault.
class OperandReader {
 public:
  explicit OperandReader(ffi::RemainingArgs args) : args_(args) {}

  template <ffi::DataType dtype>
  ffi::NativeType<dtype>* Take(const char* name, int64_t* count = nullptr) {
    const ffi::AnyBuffer buffer = TakeAny(name);
    if (!fault_.empty()) return nullptr;
    if (buffer.element_type() != dtype) {
      fault_ = std::string("operand '") + name + "' has the wrong dtype";
      return nullptr;
    }
    if (count) *count = static_cast<int64_t>(buffer.element_count());
    return buffer.typed_data<ffi::NativeType<dtype>>();
  }

  ffi::AnyBuffer TakeAny(const char* name) {
    static XLA_FFI_Buffer nothing = {};
    if (fault_.empty()) {
      auto buffer = args_.get<ffi::AnyBuffer>(next_++);
      if (buffer.has_value()) return *buffer;
      fault_ = std::string("operand '") + name + "' is missing";
    }
    return ffi::AnyBuffer(&nothing);
  }

  void Fail(const std::string& fault) {
    if (fault_.empty()) fault_ = fault;
  }
  bool ok() const { return fault_.empty(); }
  const std::string& fault() const { return fault_; }
  ffi::Error error() const { return BuildFault(fault_); }

 private:
  ffi::RemainingArgs args_;
  size_t next_ = 0;
  std::string fault_;
};

inline DType TableDType(const ffi::AnyBuffer& buffer) {
  switch (buffer.element_type()) {
    case ffi::DataType::BF16:
      return DType::kBFloat16;
    case ffi::DataType::F16:
      return DType::kFloat16;
    default:
      return DType::kFloat32;
  }
}

}  // namespace jaxtbe
