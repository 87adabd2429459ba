#include "csrc/cpu/rows.h"

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
ffi::Error GatherRowsImpl(ffi::ThreadPool threads, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                          ffi::RemainingArgs operands, ffi::ResultBufferR2<ffi::F32> out) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  for (size_t t = 0; t + 1 < starts.element_count(); ++t) {
    auto table = operands.get<ffi::AnyBuffer>(t);
    if (!table.has_value()) return BuildFault("a table is missing");
    dtype = TableDType(*table);
    tables.push_back({table->untyped_data(), table->dimensions()[0]});
  }
  GatherRows(MakeArgs(tables, dtype, out->dimensions()[1], rows, starts), out->typed_data(), XlaPool(threads));
  return ffi::Error::Success();
}

// Operands: rows, starts, values, tables, tokens. Results: the tables.
ffi::Error StoreRowsImpl(ffi::ThreadPool threads, ffi::BufferR1<ffi::S32> rows, ffi::BufferR1<ffi::S32> starts,
                         ffi::BufferR2<ffi::F32> values, ffi::RemainingArgs, ffi::RemainingRets results) {
  std::vector<RowsTable> tables;
  DType dtype = DType::kFloat32;
  for (size_t t = 0; t + 1 < starts.element_count(); ++t) {
    auto table = results.get<ffi::AnyBuffer>(t);
    if (!table.has_value()) return BuildFault("a table is missing");
    dtype = TableDType(**table);
    tables.push_back({(*table)->untyped_data(), (*table)->dimensions()[0]});
  }
  StoreRows(MakeArgs(tables, dtype, values.dimensions()[1], rows, starts), values.typed_data(), XlaPool(threads));
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(GatherRowsHandler, GatherRowsImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::BufferR2<ffi::F32>>());

XLA_FFI_DEFINE_HANDLER_SYMBOL(StoreRowsHandler, StoreRowsImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR2<ffi::F32>>()
                                  .RemainingArgs()
                                  .RemainingRets());

}  // namespace jaxtbe
