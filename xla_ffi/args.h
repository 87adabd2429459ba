// Decodes operands and results, and compares whatever the kernels will read or write: dtypes, ranks, sizes, and the
// numbers of static layouts. Python has compared them before, in its own words; what comes through to here does not fit
// all the same becomes an error, never a foreign read.
#pragma once

#include <initializer_list>
#include <string>

#include "csrc/common/modes.h"
#include "xla/ffi/api/ffi.h"

namespace jaxtbe {

namespace ffi = xla::ffi;
using Ints = ffi::Span<const int64_t>;

constexpr int64_t kAnySize = -1;
constexpr int64_t kMostIds = (int64_t{1} << 31) - 1;  // of positions, rows and offsets: they are int32

inline ffi::Error Misfit(const std::string& what) {
  return ffi::Error::InvalidArgument("jaxtbe: " + what + " does not fit the rest of the call");
}

// What only another build of the Python package can ask for.
inline ffi::Error BuildFault(const std::string& what) {
  return ffi::Error::Internal("jaxtbe: " + what +
                              ". The Python package and its native library differ: reinstall jaxtbe.");
}

// Whether a buffer has these sizes, kAnySize standing for any that an int32 can count.
template <class Buffer>
bool HasShape(const Buffer& buffer, std::initializer_list<int64_t> sizes) {
  const auto dims = buffer.dimensions();
  if (dims.size() != sizes.size()) return false;
  size_t k = 0;
  for (const int64_t size : sizes) {
    const int64_t dim = dims[k++];
    if (size == kAnySize ? dim < 0 || dim > kMostIds : dim != size) return false;
  }
  return true;
}

inline bool In(int64_t x, int64_t least, int64_t end) { return x >= least && x < end; }

// Reads operands in order. After a wrong one it reads on as nothing and remembers the first fault.
class OperandReader {
 public:
  explicit OperandReader(ffi::RemainingArgs args) : args_(args) {}

  // The data of the next operand; null after a fault.
  template <ffi::DataType dtype>
  ffi::NativeType<dtype>* Take(const char* name, std::initializer_list<int64_t> sizes, int64_t* count = nullptr) {
    const ffi::AnyBuffer buffer = TakeAny(name);
    if (!ok()) return nullptr;
    if (buffer.element_type() != dtype || !HasShape(buffer, sizes)) {
      Fail(std::string("operand '") + name + "'");
      return nullptr;
    }
    if (count) *count = buffer.dimensions()[0];
    return buffer.typed_data<ffi::NativeType<dtype>>();
  }

  ffi::AnyBuffer TakeAny(const char* name) {
    static XLA_FFI_Buffer nothing = {};
    if (fault_.empty()) {
      auto buffer = args_.get<ffi::AnyBuffer>(next_++);
      if (buffer.has_value()) return *buffer;
      Fail(std::string("operand '") + name + "', which is missing,");
    }
    return ffi::AnyBuffer(&nothing);
  }

  void Fail(const std::string& fault) {
    if (fault_.empty()) fault_ = fault;
  }
  // Fails unless `fits`.
  void Require(bool fits, const char* what) {
    if (!fits) Fail(what);
  }
  bool ok() const { return fault_.empty(); }
  ffi::Error error() const { return Misfit(fault_); }

 private:
  ffi::RemainingArgs args_;
  size_t next_ = 0;
  std::string fault_;
};

// Whether a buffer has one of the dtypes of tables.
inline bool IsFloat(const ffi::AnyBuffer& buffer) {
  const auto type = buffer.element_type();
  return type == ffi::DataType::F32 || type == ffi::DataType::BF16 || type == ffi::DataType::F16;
}

// Whether a buffer is a table: [rows, dim].
inline bool IsTable(const ffi::AnyBuffer& buffer) {
  return IsFloat(buffer) && HasShape(buffer, {kAnySize, kAnySize}) && buffer.dimensions()[0] > 0 &&
         buffer.dimensions()[1] > 0;
}

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

// Whether the output of a feature, or its gradient, lies within a row of `columns`.
inline bool SpanFits(int64_t pooling, int64_t column, int64_t max_length, int64_t dim, int64_t columns) {
  if (!In(pooling, 0, 3) || max_length < 1 || !In(column, 0, columns + 1)) return false;
  return dim <= (columns - column) / (pooling == static_cast<int64_t>(Pooling::kNone) ? max_length : 1);
}

// The bags of a feature in offsets i32[features * bags + 1], or -1: they do not fit.
inline int64_t BatchOf(int64_t num_offsets, int64_t num_features) {
  if (num_features < 1 || num_offsets < 1 || (num_offsets - 1) % num_features != 0) return -1;
  return (num_offsets - 1) / num_features;
}

}  // namespace jaxtbe
