// The operands that every backward shares: lookups, and the gradients of their outputs.
#pragma once

#include <vector>

#include "csrc/common/source.h"
#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"

namespace jaxtbe {

struct SourceOperands {
  std::vector<Source> sources;
  std::vector<SourceTable> tables;
  int64_t capacity = 0;  // ids of all lookups together
};

// `shapes`: for each table (rows, dim, duplicates).
inline void ReadShapes(OperandReader& read, Ints shapes, std::vector<SourceTable>& tables) {
  constexpr size_t kFields = 3;
  constexpr int64_t kMostRows = (int64_t{1} << 32) - 1;  // the keys of rows have 32 bits, and one key is none
  read.Require(shapes.size() >= kFields && shapes.size() % kFields == 0, "the tables' shapes");
  int64_t rows = 0;
  for (size_t t = 0; t + kFields <= shapes.size(); t += kFields) {
    const int64_t* field = shapes.begin() + t;
    const bool fits = In(field[0], 1, kMostIds + 1) && In(field[1], 1, kMostIds + 1) && In(field[2], 0, 3);
    if (!fits) return read.Fail("a table's shape");
    rows += field[0];
    tables.push_back({field[0], field[1], static_cast<Duplicates>(field[2])});
  }
  read.Require(rows <= kMostRows, "the number of the tables' rows");
}

// The sources of one lookup. `layout`: for each (feature, number of features, table, pooling, column, max_length).
inline void ReadLayout(OperandReader& read, Ints layout, size_t begin, size_t end, Source source, int64_t num_offsets,
                       const ffi::AnyBuffer& d_acts, SourceOperands& out) {
  constexpr size_t kFields = 6;
  int64_t least = 0;
  for (size_t at = begin; at < end; at += kFields) {
    const int64_t* f = layout.begin() + at;
    source.bags.batch = BatchOf(num_offsets, f[1]);
    if (source.bags.batch < 0 || f[1] != layout[begin + 1]) return read.Fail("operand 'offsets'");
    if (!HasShape(d_acts, {source.bags.batch, kAnySize})) return read.Fail("operand 'd_acts'");
    if (!In(f[0], least, f[1])) return read.Fail("the feature of a source");
    if (!In(f[2], 0, static_cast<int64_t>(out.tables.size()))) return read.Fail("the table of a source");
    source.stride = d_acts.dimensions()[1];
    if (!SpanFits(f[3], f[4], f[5], out.tables[f[2]].dim, source.stride)) return read.Fail("the columns of a source");
    least = f[0] + 1;
    source.feature = f[0];
    source.d_acts = static_cast<const float*>(d_acts.untyped_data()) + f[4];
    source.table = f[2];
    source.pooling = static_cast<Pooling>(f[3]);
    source.max_length = f[5];
    out.sources.push_back(source);
  }
}

// `lookups`: for each lookup (number of sources, has id weights, has update mask); `layout`: see above.
// Operands of each lookup: ids, offsets, id weights, update mask, d_acts.
inline void ReadSources(OperandReader& read, Ints lookups, Ints layout, Ints shapes, RisingOffsets& rising,
                        SourceOperands& out) {
  constexpr size_t kLookupFields = 3, kSourceFields = 6;
  ReadShapes(read, shapes, out.tables);
  read.Require(lookups.size() % kLookupFields == 0, "the number of lookups");
  size_t at = 0;
  for (size_t l = 0; l + kLookupFields <= lookups.size(); l += kLookupFields) {
    Source source = {};
    source.lookup = static_cast<int64_t>(l / kLookupFields);
    BagsView& bags = source.bags;
    int64_t num_offsets = 0;
    bags.ids = read.Take<ffi::S32>("ids", {kAnySize}, &bags.num_ids);
    const int32_t* offsets = read.Take<ffi::S32>("offsets", {kAnySize}, &num_offsets);
    if (lookups[l + 1]) bags.id_weights = read.Take<ffi::F32>("id_weights", {bags.num_ids});
    const bool* mask = lookups[l + 2] ? read.Take<ffi::PRED>("update_mask", {bags.num_ids}) : nullptr;
    source.update_mask = reinterpret_cast<const uint8_t*>(mask);
    const ffi::AnyBuffer d_acts = read.TakeAny("d_acts");
    read.Require(!read.ok() || (d_acts.element_type() == ffi::F32 && d_acts.dimensions().size() == 2),
                 "operand 'd_acts'");
    read.Require(In(lookups[l], 0, static_cast<int64_t>((layout.size() - at) / kSourceFields) + 1),
                 "the number of sources");
    if (!read.ok()) return;
    bags.offsets = rising.Of(offsets, num_offsets, bags.num_ids);
    const size_t end = at + kSourceFields * static_cast<size_t>(lookups[l]);
    ReadLayout(read, layout, at, end, source, num_offsets, d_acts, out);
    at = end;
    out.capacity += bags.num_ids;
  }
  read.Require(at == layout.size(), "the number of sources");
  read.Require(out.capacity <= kMostIds, "the number of ids of all lookups");
}

}  // namespace jaxtbe
