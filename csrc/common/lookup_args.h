// What a forward, and the gradient of id weights, are called with. Numbers lie where the kernels run: on the device for
// CUDA; the arrays of descriptors themselves lie on the host.
#pragma once

#include <cstdint>

#include "csrc/common/bags.h"
#include "csrc/common/modes.h"

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

// d_id_weights[n] = dot(table[ids[n]], d_acts of its bag), divided by the bag's number of valid ids for Pooling::kMean.
struct IdWeightsGradArgs {
  LookupArgs lookup;    // `acts` and `faults` unused
  const float* d_acts;  // [batch, lookup.stride]
  float* d_id_weights;  // [num_ids]
};

}  // namespace jaxtbe
