// The operands that the forward and the gradient of id weights share: a batch, the features' layout, and tables.
#pragma once

#include <algorithm>
#include <vector>

#include "csrc/common/lookup_args.h"
#include "csrc/common/range.h"
#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"

namespace jaxtbe {

struct LookupOperands {
  LookupArgs args = {};
  std::vector<LookupFeature> features;
  std::vector<LookupTable> tables;
};

// `layout`: for each feature (table or -1, pooling, column, max_length, reads). Outputs lie in rows of `columns`.
inline void ReadFeatures(OperandReader& read, Ints layout, int64_t columns, LookupOperands& out) {
  constexpr size_t kFields = 5;
  read.Require(layout.size() % kFields == 0, "the layout");
  for (size_t f = 0; f + kFields <= layout.size(); f += kFields) {
    const int64_t* field = layout.begin() + f;
    if (!In(field[0], -1, static_cast<int64_t>(out.tables.size()))) return read.Fail("the table of a feature");
    const bool fits = field[0] < 0 || SpanFits(field[1], field[2], field[3], out.tables[field[0]].dim, columns);
    if (!fits) return read.Fail("the output of a feature");
    out.features.push_back({field[0], static_cast<Pooling>(field[1]), field[2], field[3], field[4] != 0});
  }
}

// Whether the outputs fill rows of `columns`, each column once: no two threads write one number, and none is left out.
inline bool OutputsFill(const LookupOperands& in, int64_t columns) {
  std::vector<Range> outputs;
  for (const LookupFeature& feature : in.features) {
    if (feature.table < 0) continue;
    const int64_t shown = feature.pooling == Pooling::kNone ? feature.max_length : 1;
    outputs.push_back({feature.column, feature.column + shown * in.tables[feature.table].dim});
  }
  std::sort(outputs.begin(), outputs.end(), [](Range a, Range b) { return a.begin < b.begin; });
  int64_t filled = 0;
  for (const Range output : outputs) {
    if (output.begin != filled) return false;
    filled = output.end;
  }
  return filled == columns;
}

// Operands: ids, offsets, id weights if `has_weights`, then `num_tables` tables. `columns`: of the activations.
inline void ReadLookup(OperandReader& read, Ints layout, bool has_weights, int64_t num_tables, int64_t columns,
                       RisingOffsets& rising, LookupOperands& out) {
  LookupArgs& args = out.args;
  BagsView& bags = args.bags;
  int64_t num_offsets = 0;
  bags.ids = read.Take<ffi::S32>("ids", {kAnySize}, &bags.num_ids);
  const int32_t* offsets = read.Take<ffi::S32>("offsets", {kAnySize}, &num_offsets);
  bags.id_weights = has_weights ? read.Take<ffi::F32>("id_weights", {bags.num_ids}) : nullptr;
  for (int64_t t = 0; t < num_tables; ++t) {
    const ffi::AnyBuffer table = read.TakeAny("table");
    if (!read.ok()) return;
    if (!IsTable(table) || (t > 0 && TableDType(table) != args.dtype)) return read.Fail("operand 'table'");
    args.dtype = TableDType(table);
    out.tables.push_back({table.untyped_data(), table.dimensions()[0], table.dimensions()[1]});
  }
  if (read.ok()) ReadFeatures(read, layout, columns, out);
  args.features = out.features.data();
  args.num_features = static_cast<int64_t>(out.features.size());
  args.tables = out.tables.data();
  args.stride = columns;
  bags.batch = BatchOf(num_offsets, args.num_features);
  read.Require(bags.batch >= 0, "operand 'offsets'");
  if (read.ok()) bags.offsets = rising.Of(offsets, num_offsets, bags.num_ids);
}

}  // namespace jaxtbe
