#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

namespace jaxtbe {
namespace {

ffi::Error CountFaultsImpl(ContextArg context, ffi::BufferR1<ffi::S32> ids, ffi::BufferR1<ffi::S32> offsets,
                           ffi::ResultBufferR2<ffi::S32> faults, ffi::ResultBufferR1<ffi::U8> scratch, Ints rows) {
  const int64_t num_features = static_cast<int64_t>(rows.size());
  const int64_t num_ids = ids.dimensions()[0], num_offsets = offsets.dimensions()[0];
  const int64_t batch = BatchOf(num_offsets, num_features);
  if (batch < 0) return Misfit("operand 'offsets'");
  if (num_ids > kMostIds) return Misfit("operand 'ids'");
  if (!HasShape(*faults, {num_features, 2})) return Misfit("the result 'faults'");
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  const BagsView bags = {ids.typed_data(), num_ids, rising.Of(offsets.typed_data(), num_offsets, num_ids), nullptr,
                         batch};
  return RunOnOffsets(context, rising, [&](const auto& on) {
    return CountFaults(bags, rows.begin(), num_features, faults->typed_data(), on);
  });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(CountFaultsHandler, CountFaultsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR2<ffi::S32>>()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Attr<Ints>("rows"));

}  // namespace jaxtbe
