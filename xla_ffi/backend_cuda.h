// CUDA as a backend: kernels are launched on XLA's stream. The emulation of tests/cuda_emulation has none and runs them
// at once.
#pragma once

#include <string>

#include "csrc/cuda/ops.h"
#include "csrc/cuda/rising_offsets.h"
#include "xla_ffi/args.h"

namespace jaxtbe {

#if defined(JAXTBE_CUDA_EMULATION)
using Context = ffi::ThreadPool;
using ContextArg = ffi::ThreadPool;
inline cudaStream_t StreamOf(ContextArg&) { return nullptr; }
#else
using Context = ffi::PlatformStream<cudaStream_t>;
using ContextArg = cudaStream_t;
inline cudaStream_t StreamOf(ContextArg stream) { return stream; }
#endif

// Runs op(stream), and reports the kernel that could not be launched.
template <class Op>
ffi::Error RunOn(ContextArg& context, Op op) {
  const LaunchStatus status = op(StreamOf(context));
  if (status.error == cudaSuccess) return ffi::Error::Success();
  return ffi::Error::Internal(std::string("jaxtbe: ") + status.kernel +
                              " could not be launched: " + cudaGetErrorString(status.error));
}

// The same for an op that reads offsets, behind the kernels that mend them.
template <class Op>
ffi::Error RunOnOffsets(ContextArg& context, const RisingOffsets& rising, Op op) {
  if (!rising.fits()) return Misfit("the scratch");
  return RunOn(context, [&](cudaStream_t stream) {
    const LaunchStatus status = rising.Launch(stream);
    return status.error == cudaSuccess ? op(stream) : status;
  });
}

// XLA may record what a handler launches into a CUDA graph and replay it.
#define JAXTBE_DEFINE_HANDLER(Name, Impl, binding) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(Name, Impl, binding, {ffi::Traits::kCmdBufferCompatible})

}  // namespace jaxtbe
