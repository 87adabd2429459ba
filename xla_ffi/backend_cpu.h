// The CPU as a backend: kernels run on XLA's thread pool.
#pragma once

#include "csrc/cpu/ops.h"
#include "csrc/cpu/rising_offsets.h"
#include "xla_ffi/args.h"
#include "xla_ffi/xla_pool.h"

namespace jaxtbe {

using Context = ffi::ThreadPool;
using ContextArg = ffi::ThreadPool;

// Runs op(pool).
template <class Op>
ffi::Error RunOn(ContextArg& threads, Op op) {
  op(XlaPool(threads));
  return ffi::Error::Success();
}

// The same for an op that reads offsets, which were mended when they were decoded.
template <class Op>
ffi::Error RunOnOffsets(ContextArg& threads, const RisingOffsets& rising, Op op) {
  if (!rising.fits()) return Misfit("the scratch");
  return RunOn(threads, op);
}

#define JAXTBE_DEFINE_HANDLER(Name, Impl, binding) XLA_FFI_DEFINE_HANDLER_SYMBOL(Name, Impl, binding)

}  // namespace jaxtbe
