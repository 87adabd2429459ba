// What the handlers run on. Every handler is written once and compiled for each backend, in a library of its own.
//
//   Context, ContextArg                      what a handler binds, and gets
//   RunOn(context, op)                       runs op(pool or stream)
//   RisingOffsets(scratch, bytes)            offsets that never fall: Of(offsets, count, num_ids)
//   RunOnOffsets(context, rising, op)        runs an op that reads such offsets
//   JAXTBE_DEFINE_HANDLER(Name, Impl, ...)   exports a handler
#pragma once

#if defined(JAXTBE_CUDA_BACKEND)
#include "xla_ffi/backend_cuda.h"
#else
#include "xla_ffi/backend_cpu.h"
#endif
