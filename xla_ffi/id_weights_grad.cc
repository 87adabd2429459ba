#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/lookup_args.h"

namespace jaxtbe {
namespace {

ffi::Error IdWeightsGradImpl(ContextArg context, ffi::BufferR2<ffi::F32> d_acts, ffi::RemainingArgs operands,
                             ffi::ResultBufferR1<ffi::F32> d_id_weights, ffi::ResultBufferR1<ffi::U8> scratch,
                             Ints layout, int64_t num_tables) {
  OperandReader read(operands);
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  LookupOperands lookup;
  ReadLookup(read, layout, /*has_weights=*/false, num_tables, d_acts.dimensions()[1], rising, lookup);
  read.Require(d_acts.dimensions()[0] == lookup.args.bags.batch, "operand 'd_acts'");
  read.Require(d_id_weights->dimensions()[0] == lookup.args.bags.num_ids, "the result 'd_id_weights'");
  if (!read.ok()) return read.error();
  const IdWeightsGradArgs args = {lookup.args, d_acts.typed_data(), d_id_weights->typed_data()};
  return RunOnOffsets(context, rising, [&](const auto& on) { return IdWeightsGrad(args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(IdWeightsGradHandler, IdWeightsGradImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR2<ffi::F32>>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::F32>>()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Attr<Ints>("layout")
                          .Attr<int64_t>("num_tables"));

}  // namespace jaxtbe
