// The operands that the forward and the gradient of id weights share: a batch, the features' layout, and tables.
#pragma once

#include <vector>

#include "csrc/common/lookup_args.h"
#include "xla_ffi/args.h"

namespace jaxtbe {

struct LookupOperands {
  LookupArgs args = {};
  std::vector<LookupFeature> features;
  std::vector<LookupTable> tables;
};

// Operands: ids, offsets, id weights if `has_weights`, then `num_tables` tables.
// `layout`: for each feature (table or -1, pooling, column, max_length, reads).
inline void ReadLookup(OperandReader& read, Ints layout, bool has_weights, int64_t num_tables, LookupOperands& out) {
  constexpr size_t kFields = 5;
  for (size_t f = 0; f + kFields <= layout.size(); f += kFields) {
    out.features.push_back(
        {layout[f], static_cast<Pooling>(layout[f + 1]), layout[f + 2], layout[f + 3], layout[f + 4] != 0});
  }
  LookupArgs& args = out.args;
  int64_t num_offsets = 0;
  args.bags.ids = read.Take<ffi::S32>("ids", &args.bags.num_ids);
  args.bags.offsets = read.Take<ffi::S32>("offsets", &num_offsets);
  args.bags.id_weights = has_weights ? read.Take<ffi::F32>("id_weights") : nullptr;
  for (int64_t t = 0; t < num_tables; ++t) {
    const ffi::AnyBuffer table = read.TakeAny("table");
    if (!read.ok()) return;
    args.dtype = TableDType(table);
    out.tables.push_back({table.untyped_data(), table.dimensions()[0], table.dimensions()[1]});
  }
  args.features = out.features.data();
  args.num_features = static_cast<int64_t>(out.features.size());
  args.tables = out.tables.data();
  if (args.num_features == 0 || (num_offsets - 1) % args.num_features != 0)
    return read.Fail("offsets do not fit the features");
  args.bags.batch = (num_offsets - 1) / args.num_features;
}

}  // namespace jaxtbe
