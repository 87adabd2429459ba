// The operands that the lookup and the insert of raw ids share.
#pragma once

#include "csrc/common/zch/args.h"
#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"

namespace jaxtbe {

// Ids, and the identities of slots, are u32[n, 2] with the low word first: on the little-endian machines we run on,
// 64-bit integers.
inline uint64_t* Ids(uint32_t* words) { return reinterpret_cast<uint64_t*>(words); }

// Whether slots can be laid out so: every bucket has a slot at least beside its reserved rows.
inline bool LayoutFits(int64_t slots, int64_t buckets, int64_t reserved, int64_t max_probe) {
  return In(slots, 1, kMostIds + 1) && In(buckets, 1, slots + 1) && In(reserved, 0, slots / buckets) && max_probe >= 1;
}

// Operands: ids, offsets. `access`: an Access for each feature.
inline ZchBatch ReadZchBatch(OperandReader& read, Ints access, RisingOffsets& rising) {
  ZchBatch batch = {};
  int64_t num_offsets = 0;
  batch.ids = Ids(read.Take<ffi::U32>("ids", {kAnySize, 2}, &batch.num_ids));
  const int32_t* offsets = read.Take<ffi::S32>("offsets", {kAnySize}, &num_offsets);
  batch.access = access.begin();
  batch.num_features = static_cast<int64_t>(access.size());
  for (const int64_t of : access) read.Require(In(of, -1, 3), "the access of a feature");
  batch.batch = BatchOf(num_offsets, batch.num_features);
  read.Require(batch.batch >= 0, "operand 'offsets'");
  if (!read.ok()) return {};
  batch.offsets = rising.Of(offsets, num_offsets, batch.num_ids);
  return batch;
}

}  // namespace jaxtbe
