#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

namespace jaxtbe {
namespace {

ffi::Error CountFaultsImpl(ContextArg context, ffi::BufferR1<ffi::S32> ids, ffi::BufferR1<ffi::S32> offsets,
                           ffi::ResultBufferR2<ffi::S32> faults, Ints rows) {
  const int64_t num_features = static_cast<int64_t>(rows.size());
  const int64_t num_bags = static_cast<int64_t>(offsets.element_count()) - 1;
  if (num_features == 0 || num_bags % num_features != 0) return BuildFault("offsets do not fit the features");
  const BagsView bags = {ids.typed_data(), static_cast<int64_t>(ids.element_count()), offsets.typed_data(), nullptr,
                         num_bags / num_features};
  return RunOn(context,
               [&](const auto& on) { return CountFaults(bags, rows.begin(), num_features, faults->typed_data(), on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(CountFaultsHandler, CountFaultsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR2<ffi::S32>>()
                          .Attr<Ints>("rows"));

}  // namespace jaxtbe
