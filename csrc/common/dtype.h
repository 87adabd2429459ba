// From a dtype that is known when a kernel is called to the type that it is compiled for.
#pragma once

#include "csrc/common/half.h"
#include "csrc/common/modes.h"

namespace jaxtbe {

// f(T{}) for the dtype's element type T.
template <class F>
inline __attribute__((always_inline)) void VisitDType(DType dtype, const F& f) {
  switch (dtype) {
    case DType::kFloat32:
      return f(float{});
    case DType::kBFloat16:
      return f(BFloat16{});
    case DType::kFloat16:
      return f(Float16{});
  }
}

}  // namespace jaxtbe
