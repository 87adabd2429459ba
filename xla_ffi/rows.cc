#include <vector>

#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

namespace jaxtbe {
namespace {

RowsArgs MakeArgs(const std::vector<RowsTable>& tables, DType dtype, int64_t dim, const ffi::BufferR1<ffi::S32>& rows,
                  const ffi::BufferR1<ffi::S32>& starts) {
  return {dtype,
          tables.data(),
          static_cast<int64_t>(tables.size()),
          dim,
          rows.typed_data(),
          starts.typed_data(),
          static_cast<int64_t>(rows.element_count())};
}

// Operands: rows, starts, tables.
ffi::Error GatherRowsImpl(ContextArg context, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                          ffi::RemainingArgs operands, ffi::ResultBufferR2<ffi::F32> out) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  for (size_t t = 0; t + 1 < starts.element_count(); ++t) {
    auto table = operands.get<ffi::AnyBuffer>(t);
    if (!table.has_value()) return BuildFault("a table is missing");
    dtype = TableDType(*table);
    tables.push_back({table->untyped_data(), table->dimensions()[0]});
  }
  const RowsArgs args = MakeArgs(tables, dtype, out->dimensions()[1], rows, starts);
  return RunOn(context, [&](const auto& on) { return GatherRows(args, out->typed_data(), on); });
}

// Operands: rows, starts, values, tables, tokens. Results: the tables.
ffi::Error StoreRowsImpl(ContextArg context, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                         ffi::BufferR2<ffi::F32> values, ffi::RemainingArgs, ffi::RemainingRets results) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  for (size_t t = 0; t + 1 < starts.element_count(); ++t) {
    auto table = results.get<ffi::AnyBuffer>(t);
    if (!table.has_value()) return BuildFault("a table is missing");
    dtype = TableDType(**table);
    tables.push_back({(*table)->untyped_data(), (*table)->dimensions()[0]});
  }
  const RowsArgs args = MakeArgs(tables, dtype, values.dimensions()[1], rows, starts);
  return RunOn(context, [&](const auto& on) { return StoreRows(args, values.typed_data(), on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(GatherRowsHandler, GatherRowsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR2<ffi::F32>>());

JAXTBE_DEFINE_HANDLER(StoreRowsHandler, StoreRowsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR1<ffi::S32>>()
                          .Arg<ffi::BufferR2<ffi::F32>>()
                          .RemainingArgs()
                          .RemainingRets());

}  // namespace jaxtbe
