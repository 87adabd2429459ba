// CUDA as a backend: kernels are launched on XLA's stream. The emulation of tests/cuda_emulation has none and runs them
// at once.
#pragma once

#include <string>

#include "csrc/cuda/ops.h"
#include "xla/ffi/api/ffi.h"

namespace jaxtbe {

namespace ffi = xla::ffi;

#if defined(JAXTBE_CUDA_EMULATION)
using Context = ffi::ThreadPool;
using ContextArg = ffi::ThreadPool;
inline cudaStream_t StreamOf(ContextArg&) { return nullptr; }
#else
using Context = ffi::PlatformStream<cudaStream_t>;
using ContextArg = cudaStream_t;
inline cudaStream_t StreamOf(ContextArg stream) { return stream; }
#endif

// Offsets lie on the device, and the kernels take broken ones as they are: no read or write is out of bounds, but bags
// that overlap race in the gradient of id weights.
struct RisingOffsets {
  const int32_t* Of(const int32_t* offsets, int64_t, int64_t) { return offsets; }
};

// Runs op(stream), and reports the kernel that could not be launched.
template <class Op>
ffi::Error RunOn(ContextArg& context, Op op) {
  const LaunchStatus status = op(StreamOf(context));
  if (status.error == cudaSuccess) return ffi::Error::Success();
  return ffi::Error::Internal(std::string("jaxtbe: ") + status.kernel +
                              " could not be launched: " + cudaGetErrorString(status.error));
}

// XLA may record what a handler launches into a CUDA graph and replay it.
#define JAXTBE_DEFINE_HANDLER(Name, Impl, binding) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(Name, Impl, binding, {ffi::Traits::kCmdBufferCompatible})

}  // namespace jaxtbe
