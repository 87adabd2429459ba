// The operands that every backward shares: lookups, and the gradients of their outputs.
#pragma once

#include <vector>

#include "csrc/common/source.h"
#include "xla_ffi/args.h"

namespace jaxtbe {

// `lookups`: for each lookup (number of sources, has id weights, has update mask).
// `layout`: for each source (feature, number of features, table, pooling, column, max_length).
// Operands of each lookup: ids, offsets, id weights, update mask, d_acts.
inline std::vector<Source> ReadSources(OperandReader& read, Ints lookups, Ints layout, int64_t* capacity) {
  constexpr size_t kLookupFields = 3, kSourceFields = 6;
  std::vector<Source> sources;
  size_t at = 0;
  for (size_t l = 0; l + kLookupFields <= lookups.size(); l += kLookupFields) {
    BagsView bags = {};
    int64_t num_offsets = 0;
    bags.ids = read.Take<ffi::S32>("ids", &bags.num_ids);
    bags.offsets = read.Take<ffi::S32>("offsets", &num_offsets);
    if (lookups[l + 1]) bags.id_weights = read.Take<ffi::F32>("id_weights");
    const bool* mask = lookups[l + 2] ? read.Take<ffi::PRED>("update_mask") : nullptr;
    const ffi::AnyBuffer d_acts = read.TakeAny("d_acts");
    if (!read.ok()) return {};
    *capacity += bags.num_ids;
    for (int64_t s = 0; s < lookups[l]; ++s, at += kSourceFields) {
      if (at + kSourceFields > layout.size()) {
        read.Fail("the sources do not fit the lookups");
        return {};
      }
      const int64_t* f = layout.begin() + at;
      bags.batch = (num_offsets - 1) / f[1];
      sources.push_back({static_cast<int64_t>(l / kLookupFields), bags, f[0], reinterpret_cast<const uint8_t*>(mask),
                         static_cast<const float*>(d_acts.untyped_data()) + f[4], d_acts.dimensions()[1], f[2],
                         static_cast<Pooling>(f[3]), f[5]});
    }
  }
  return sources;
}

// `shapes`: for each table (rows, dim, duplicates).
inline std::vector<SourceTable> ReadShapes(Ints shapes) {
  constexpr size_t kFields = 3;
  std::vector<SourceTable> tables;
  for (size_t t = 0; t + kFields <= shapes.size(); t += kFields) {
    tables.push_back({shapes[t], shapes[t + 1], static_cast<Duplicates>(shapes[t + 2])});
  }
  return tables;
}

}  // namespace jaxtbe
