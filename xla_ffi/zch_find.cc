#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/zch_args.h"

namespace jaxtbe {
namespace {

// Operands: identities, ids, offsets.
ffi::Error ZchFindImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::S32> rows,
                       ffi::ResultBufferR1<ffi::S8> status, ffi::ResultBufferR1<ffi::U8> scratch, Ints access,
                       int64_t buckets, int64_t reserved, int64_t max_probe, int64_t on_full) {
  OperandReader read(operands);
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  int64_t slots = 0;
  const uint32_t* identities = read.Take<ffi::U32>("identities", {kAnySize, 2}, &slots);
  const ZchBatch batch = ReadZchBatch(read, access, rising);
  read.Require(LayoutFits(slots, buckets, reserved, max_probe), "the slots' layout");
  read.Require(In(on_full, 0, 3), "on_full");
  read.Require(HasShape(*rows, {batch.num_ids}), "the result 'rows'");
  read.Require(HasShape(*status, {batch.num_ids}), "the result 'status'");
  if (!read.ok()) return read.error();
  const ZchFindArgs args = {{reinterpret_cast<const uint64_t*>(identities), slots},
                            ProbeLayout(slots, buckets, reserved, max_probe),
                            static_cast<OnFull>(on_full),
                            batch,
                            rows->typed_data(),
                            status->typed_data()};
  return RunOnOffsets(context, rising, [&](const auto& on) { return ZchFind(args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(ZchFindHandler, ZchFindImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR1<ffi::S8>>()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Attr<Ints>("access")
                          .Attr<int64_t>("buckets")
                          .Attr<int64_t>("reserved")
                          .Attr<int64_t>("max_probe")
                          .Attr<int64_t>("on_full"));

}  // namespace jaxtbe
