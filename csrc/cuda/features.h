// A feature together with its table: the descriptor that the forward kernels take.
#pragma once

#include <vector>

#include "csrc/common/lookup_args.h"

namespace jaxtbe {

struct FeatureView {
  const void* table;
  int64_t rows;
  int64_t dim;
  int64_t column;
  int64_t max_length;
  int32_t feature;  // its number in the batch
  Pooling pooling;
  bool reads;
};

// The features that the call has tables for.
inline std::vector<FeatureView> FeaturesOf(const LookupArgs& args) {
  std::vector<FeatureView> views;
  for (int64_t f = 0; f < args.num_features; ++f) {
    const LookupFeature& feature = args.features[f];
    if (feature.table < 0) continue;
    const LookupTable& table = args.tables[feature.table];
    views.push_back({table.data, table.rows, table.dim, feature.column, feature.max_length, static_cast<int32_t>(f),
                     feature.pooling, feature.reads});
  }
  return views;
}

}  // namespace jaxtbe
