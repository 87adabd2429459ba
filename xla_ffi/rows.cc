#include <vector>

#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

namespace jaxtbe {
namespace {

RowsArgs MakeArgs(const std::vector<RowsTable>& tables, DType dtype, int64_t dim, const ffi::BufferR1<ffi::S32>& rows,
                  const int32_t* starts) {
  return {dtype,
          tables.data(),
          static_cast<int64_t>(tables.size()),
          dim,
          rows.typed_data(),
          starts,
          static_cast<int64_t>(rows.element_count())};
}

// A table, or a state that has one number a row.
bool IsStored(const ffi::AnyBuffer& buffer, int64_t dim) {
  const auto dims = buffer.dimensions();
  if (dims.size() != 1) return IsTable(buffer) && dims[1] == dim;
  return dim == 1 && IsFloat(buffer) && HasShape(buffer, {kAnySize}) && dims[0] > 0;
}

// Operands: rows, starts, tables.
ffi::Error GatherRowsImpl(ContextArg context, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                          ffi::RemainingArgs operands, ffi::ResultBufferR2<ffi::F32> out,
                          ffi::ResultBufferR1<ffi::U8> scratch) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  const int64_t dim = out->dimensions()[1];
  if (!HasShape(rows, {kAnySize}) || starts.dimensions()[0] < 2) return Misfit("operand 'rows' or 'starts'");
  if (!HasShape(*out, {rows.dimensions()[0], dim})) return Misfit("the result");
  for (int64_t t = 0; t + 1 < starts.dimensions()[0]; ++t) {
    auto table = operands.get<ffi::AnyBuffer>(t);
    if (!table.has_value() || !IsTable(*table) || table->dimensions()[1] != dim) return Misfit("operand 'table'");
    if (t > 0 && TableDType(*table) != dtype) return Misfit("operand 'table'");
    dtype = TableDType(*table);
    tables.push_back({table->untyped_data(), table->dimensions()[0]});
  }
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  const int32_t* begins = rising.Of(starts.typed_data(), starts.dimensions()[0], rows.dimensions()[0]);
  const RowsArgs args = MakeArgs(tables, dtype, dim, rows, begins);
  return RunOnOffsets(context, rising, [&](const auto& on) { return GatherRows(args, out->typed_data(), on); });
}

// Operands: rows, starts, values, tables, tokens. Results: scratch, the tables.
ffi::Error StoreRowsImpl(ContextArg context, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                         ffi::BufferR2<ffi::F32> values, ffi::RemainingArgs, ffi::ResultBufferR1<ffi::U8> scratch,
                         ffi::RemainingRets results) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  const int64_t dim = values.dimensions()[1];
  if (!HasShape(rows, {kAnySize}) || starts.dimensions()[0] < 2) return Misfit("operand 'rows' or 'starts'");
  if (!HasShape(values, {rows.dimensions()[0], dim})) return Misfit("operand 'values'");
  for (int64_t t = 0; t + 1 < starts.dimensions()[0]; ++t) {
    auto table = results.get<ffi::AnyBuffer>(t);
    if (!table.has_value() || !IsStored(**table, dim)) return Misfit("the result 'table'");
    if (t > 0 && TableDType(**table) != dtype) return Misfit("the result 'table'");
    dtype = TableDType(**table);
    tables.push_back({(*table)->untyped_data(), (*table)->dimensions()[0]});
  }
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  const int32_t* begins = rising.Of(starts.typed_data(), starts.dimensions()[0], rows.dimensions()[0]);
  const RowsArgs args = MakeArgs(tables, dtype, dim, rows, begins);
  return RunOnOffsets(context, rising, [&](const auto& on) { return StoreRows(args, values.typed_data(), on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(GatherRowsHandler, GatherRowsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR2<ffi::F32>>()
                          .Ret<ffi::BufferR1<ffi::U8>>());

JAXTBE_DEFINE_HANDLER(StoreRowsHandler, StoreRowsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR2<ffi::F32>>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .RemainingRets());

}  // namespace jaxtbe
