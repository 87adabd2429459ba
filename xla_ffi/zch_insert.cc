#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/zch_args.h"

namespace jaxtbe {
namespace {

// Operands: identities, last_seen, occupancy, [counts], ids, offsets, now, ttl, [update_mask], [scores]. The first
// three or four are aliased to the results of the same name.
ffi::Error ZchInsertImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR2<ffi::U32> identities,
                         ffi::ResultBufferR1<ffi::S32> last_seen, ffi::ResultBufferR0<ffi::S32> occupancy,
                         ffi::ResultBufferR1<ffi::S32> rows, ffi::ResultBufferR1<ffi::S8> status,
                         ffi::ResultBufferR1<ffi::S32> evicted, ffi::ResultBufferR2<ffi::U32> evicted_ids,
                         ffi::ResultBufferR1<ffi::S32> counters, ffi::ResultBufferR0<ffi::F32> evicted_age,
                         ffi::ResultBufferR1<ffi::U8> scratch, ffi::RemainingRets counts, Ints access, int64_t buckets,
                         int64_t reserved, int64_t max_probe, int64_t eviction, int64_t priority, int64_t on_full,
                         int64_t admit_after, bool track_counts, bool has_mask, bool has_scores) {
  OperandReader read(operands);
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  int64_t num_slots = 0;
  read.Take<ffi::U32>("identities", {kAnySize, 2}, &num_slots);
  read.Take<ffi::S32>("last_seen", {num_slots});
  read.Take<ffi::S32>("occupancy", {});
  ZchSlots slots = {num_slots, Ids(identities->typed_data()), last_seen->typed_data(), nullptr,
                    occupancy->typed_data()};
  if (track_counts) {
    read.Take<ffi::S32>("counts", {num_slots});
    auto result = counts.get<ffi::BufferR1<ffi::S32>>(0);
    if (!result.has_value() || !HasShape(**result, {num_slots})) return Misfit("the result 'counts'");
    slots.counts = (*result)->typed_data();
  }
  ZchBatch batch = ReadZchBatch(read, access, rising);
  const int32_t* now = read.Take<ffi::S32>("now", {});
  const int32_t* ttl = read.Take<ffi::S32>("ttl", {});
  if (has_mask)
    batch.update_mask = reinterpret_cast<const uint8_t*>(read.Take<ffi::PRED>("update_mask", {batch.num_ids}));
  const int32_t* scores = has_scores ? read.Take<ffi::S32>("scores", {batch.num_ids}) : nullptr;
  const int64_t n = batch.num_ids;
  read.Require(LayoutFits(num_slots, buckets, reserved, max_probe), "the slots' layout");
  read.Require(In(eviction, 0, 3) && In(priority, 0, 2) && In(on_full, 0, 3), "a rule of the insert");
  read.Require(HasShape(*identities, {num_slots, 2}), "the result 'identities'");
  read.Require(HasShape(*last_seen, {num_slots}), "the result 'last_seen'");
  read.Require(HasShape(*rows, {n}) && HasShape(*status, {n}), "the result 'rows' or 'status'");
  read.Require(HasShape(*evicted, {n}) && HasShape(*evicted_ids, {n, 2}), "the result 'evicted' or 'evicted_ids'");
  read.Require(HasShape(*counters, {kNumCounters}), "the result 'counters'");
  if (!read.ok()) return read.error();
  if (rising.rest_bytes() < ZchInsertScratchBytes(n)) return Misfit("the insert's scratch");

  const ZchRules rules = {static_cast<Eviction>(eviction), static_cast<Priority>(priority),
                          static_cast<OnFull>(on_full), admit_after};
  const ZchInsertArgs args = {slots,
                              ProbeLayout(slots.count, buckets, reserved, max_probe),
                              rules,
                              batch,
                              scores,
                              now,
                              ttl,
                              rows->typed_data(),
                              status->typed_data(),
                              evicted->typed_data(),
                              Ids(evicted_ids->typed_data()),
                              counters->typed_data(),
                              evicted_age->typed_data(),
                              rising.rest()};
  return RunOnOffsets(context, rising, [&](const auto& on) { return ZchInsert(args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(ZchInsertHandler, ZchInsertImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR2<ffi::U32>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR0<ffi::S32>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR1<ffi::S8>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR2<ffi::U32>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR0<ffi::F32>>()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .RemainingRets()
                          .Attr<Ints>("access")
                          .Attr<int64_t>("buckets")
                          .Attr<int64_t>("reserved")
                          .Attr<int64_t>("max_probe")
                          .Attr<int64_t>("eviction")
                          .Attr<int64_t>("priority")
                          .Attr<int64_t>("on_full")
                          .Attr<int64_t>("admit_after")
                          .Attr<bool>("track_counts")
                          .Attr<bool>("has_mask")
                          .Attr<bool>("has_scores"));

}  // namespace jaxtbe
