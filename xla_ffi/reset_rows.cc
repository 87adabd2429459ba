#include <vector>

#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/zch_args.h"

namespace jaxtbe {
namespace {

// Operands: slots, ids, seed, the table, its states. The table and the states are aliased to the results.
ffi::Error ResetRowsImpl(ContextArg context, ffi::BufferR1<ffi::S32> slots, ffi::BufferR2<ffi::U32> ids,
                         ffi::BufferR0<ffi::U32> seed, ffi::RemainingArgs, ffi::RemainingRets results,
                         int64_t table_number, float scale) {
  auto data = results.get<ffi::AnyBuffer>(0);
  if (!data.has_value() || !IsTable(**data)) return Misfit("the table");
  const ffi::AnyBuffer table = **data;
  if (!HasShape(slots, {kAnySize})) return Misfit("operand 'slots'");
  if (!HasShape(ids, {slots.dimensions()[0], 2})) return Misfit("operand 'ids'");
  const int64_t rows = table.dimensions()[0];
  std::vector<ResetState> states;
  for (size_t s = 1; s < results.size(); ++s) {
    auto state = results.get<ffi::AnyBuffer>(s);
    if (!state.has_value() || (*state)->dimensions().size() < 1 || (*state)->dimensions()[0] != rows) {
      return Misfit("a state");
    }
    states.push_back({(*state)->untyped_data(), static_cast<int64_t>((*state)->size_bytes()) / rows});
  }
  const ResetRowsArgs args = {TableDType(table),
                              table.untyped_data(),
                              rows,
                              table.dimensions()[1],
                              states.data(),
                              static_cast<int64_t>(states.size()),
                              slots.typed_data(),
                              Ids(ids.typed_data()),
                              static_cast<int64_t>(slots.element_count()),
                              seed.typed_data(),
                              static_cast<uint32_t>(table_number),
                              scale};
  return RunOn(context, [&](const auto& on) { return ResetRows(args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(ResetRowsHandler, ResetRowsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR2<ffi::U32>>()
                          .Arg<ffi::BufferR0<ffi::U32>>()
                          .RemainingArgs()
                          .RemainingRets()
                          .Attr<int64_t>("table_number")
                          .Attr<float>("scale"));

}  // namespace jaxtbe
