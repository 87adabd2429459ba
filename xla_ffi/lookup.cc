#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/lookup_args.h"

namespace jaxtbe {
namespace {

ffi::Error LookupImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR2<ffi::F32> acts,
                      ffi::ResultBufferR2<ffi::S32> faults, ffi::ResultBufferR1<ffi::U8> scratch, Ints layout,
                      bool has_weights, int64_t num_tables) {
  OperandReader read(operands);
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  LookupOperands lookup;
  ReadLookup(read, layout, has_weights, num_tables, acts->dimensions()[1], rising, lookup);
  read.Require(acts->dimensions()[0] == lookup.args.bags.batch, "the result 'acts'");
  read.Require(!read.ok() || OutputsFill(lookup, acts->dimensions()[1]), "the layout of the outputs");
  read.Require(HasShape(*faults, {lookup.args.num_features, 2}), "the result 'faults'");
  if (!read.ok()) return read.error();
  lookup.args.acts = acts->typed_data();
  lookup.args.faults = faults->typed_data();
  return RunOnOffsets(context, rising, [&](const auto& on) { return Lookup(lookup.args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(LookupHandler, LookupImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR2<ffi::F32>>()
                          .Ret<ffi::BufferR2<ffi::S32>>()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Attr<Ints>("layout")
                          .Attr<bool>("has_weights")
                          .Attr<int64_t>("num_tables"));

}  // namespace jaxtbe
