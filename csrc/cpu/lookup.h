// Forward: bags of ids to pooled rows.
#pragma once

#include <cstdint>

#include "csrc/common/modes.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

struct LookupTable {
  const void* data;  // [rows, dim] of the call's dtype
  int64_t rows;
  int64_t dim;
};

struct LookupFeature {
  int64_t table;  // index into the call's tables, or -1: a feature of another call
  Pooling pooling;
  int64_t column;      // where its output begins in a row of `acts`
  int64_t max_length;  // ids of a bag that show, for Pooling::kNone
  bool reads;          // false (write-only): the output is zeros and the table is not read
};

// One batch. Feature f of sample b has the ids at positions [offsets[f * batch + b], offsets[f * batch + b + 1]).
struct BagsView {
  const int32_t* ids;
  int64_t num_ids;
  const int32_t* offsets;
  const float* id_weights;  // [num_ids] or null
  int64_t batch;

  // Any offsets give a range inside the ids: broken ones read wrong ids, never foreign memory.
  Range Bag(int64_t feature, int64_t sample) const {
    const int32_t* o = offsets + feature * batch + sample;
    const int64_t begin = std::clamp<int64_t>(o[0], 0, num_ids);
    return {begin, std::clamp<int64_t>(o[1], begin, num_ids)};
  }
};

// Ids at or past the end of their table: how many, and the first in (sample, position) order.
struct Faults {
  int32_t count = 0;
  int32_t first = -1;

  void Add(int32_t id) {
    if (count++ == 0) first = id;
  }
  void Append(const Faults& later) {
    if (count == 0) first = later.first;
    count += later.count;
  }
};

struct LookupArgs {
  DType dtype;
  const LookupTable* tables;
  const LookupFeature* features;
  int64_t num_features;
  BagsView bags;
  float* acts;  // [batch, stride]
  int64_t stride;
  int32_t* faults;  // [num_features, 2]: count and first id
};

void Lookup(const LookupArgs& args, const Pool& pool);

// d_id_weights[n] = dot(table[ids[n]], d_acts of its bag), divided by the bag's number of valid ids for Pooling::kMean.
struct IdWeightsGradArgs {
  LookupArgs lookup;    // `acts` and `faults` unused
  const float* d_acts;  // [batch, lookup.stride]
  float* d_id_weights;  // [num_ids]
};

void IdWeightsGrad(const IdWeightsGradArgs& args, const Pool& pool);

}  // namespace jaxtbe
