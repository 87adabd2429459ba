// The operands that the lookup and the insert of raw ids share.
#pragma once

#include "csrc/common/zch/args.h"
#include "xla_ffi/args.h"

namespace jaxtbe {

// Ids, and the identities of slots, are u32[n, 2] with the low word first: on the little-endian machines we run on,
// 64-bit integers.
inline uint64_t* Ids(uint32_t* words) { return reinterpret_cast<uint64_t*>(words); }

// Operands: ids, offsets. `access`: an Access for each feature.
inline ZchBatch ReadZchBatch(OperandReader& read, Ints access) {
  ZchBatch batch = {};
  int64_t words = 0, num_offsets = 0;
  batch.ids = Ids(read.Take<ffi::U32>("ids", &words));
  batch.offsets = read.Take<ffi::S32>("offsets", &num_offsets);
  batch.num_ids = words / 2;
  batch.access = access.begin();
  batch.num_features = static_cast<int64_t>(access.size());
  if (batch.num_features == 0 || (num_offsets - 1) % batch.num_features != 0) {
    read.Fail("offsets do not fit the features");
    return {};
  }
  batch.batch = (num_offsets - 1) / batch.num_features;
  return batch;
}

}  // namespace jaxtbe
