// The enumerations of the Python configuration, with the numbers under which they travel as FFI attributes.
#pragma once

#include <cstdint>

namespace jaxtbe {

enum class DType : int { kFloat32 = 0, kBFloat16 = 1, kFloat16 = 2 };
constexpr int kNumDTypes = 3;

inline int ByteSize(DType dtype) { return dtype == DType::kFloat32 ? 4 : 2; }

// How the rows of a bag become one output.
enum class Pooling : int64_t { kSum = 0, kMean = 1, kNone = 2 };

// Which occurrences of a row in one batch make its gradient.
enum class Duplicates : int64_t { kSum = 0, kFirst = 1, kLast = 2 };

}  // namespace jaxtbe
