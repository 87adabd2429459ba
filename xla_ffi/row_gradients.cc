#include <vector>

#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/source_args.h"

namespace jaxtbe {
namespace {

struct Operands {
  RowGradientsArgs args = {};
  SourceOperands read;
  bool ok = false;
  ffi::Error error;
};

// Operands: those of the lookups; then tokens.
void ReadOperands(ffi::RemainingArgs operands, Ints lookups, Ints layout, Ints shapes, RisingOffsets& rising,
                  Operands& out) {
  OperandReader read(operands);
  ReadSources(read, lookups, layout, shapes, rising, out.read);
  RowGradientsArgs& args = out.args;
  args = {out.read.tables.data(),  static_cast<int64_t>(out.read.tables.size()),
          out.read.sources.data(), static_cast<int64_t>(out.read.sources.size()),
          out.read.capacity,       rising.rest()};
  if (read.ok()) {
    const size_t needed =
        RowGradientsScratchBytes(args.capacity, MaxDim(args.tables, args.num_tables), args.num_tables);
    read.Require(rising.rest_bytes() >= needed, "the scratch of the row gradients");
  }
  out.ok = read.ok();
  if (!read.ok()) out.error = read.error();
}

ffi::Error SquareNormsImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch,
                           ffi::ResultBufferR1<ffi::F32> norms, Ints lookups, Ints layout, Ints shapes) {
  Operands in;
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  ReadOperands(operands, lookups, layout, shapes, rising, in);
  if (!in.ok) return in.error;
  if (!HasShape(*norms, {in.args.num_tables})) return Misfit("the result");
  return RunOnOffsets(context, rising, [&](const auto& on) { return SquareNorms(in.args, norms->typed_data(), on); });
}

ffi::Error RowGradientsImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch,
                            ffi::ResultBufferR1<ffi::S32> rows, ffi::ResultBufferR2<ffi::F32> gradients,
                            ffi::ResultBufferR1<ffi::S32> starts, Ints lookups, Ints layout, Ints shapes) {
  Operands in;
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  ReadOperands(operands, lookups, layout, shapes, rising, in);
  if (!in.ok) return in.error;
  const int64_t dim = in.args.tables[0].dim, capacity = in.args.capacity;
  for (const SourceTable& table : in.read.tables) {
    if (table.dim != dim) return Misfit("a table's dim");
  }
  if (!HasShape(*rows, {capacity}) || !HasShape(*gradients, {capacity, dim})) return Misfit("the result");
  if (!HasShape(*starts, {in.args.num_tables + 1})) return Misfit("the result 'starts'");
  const RowGradientsOutput out = {rows->typed_data(), gradients->typed_data(), starts->typed_data()};
  return RunOnOffsets(context, rising, [&](const auto& on) { return RowGradients(in.args, out, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(SquareNormsHandler, SquareNormsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Ret<ffi::BufferR1<ffi::F32>>()
                          .Attr<Ints>("lookups")
                          .Attr<Ints>("layout")
                          .Attr<Ints>("shapes"));

JAXTBE_DEFINE_HANDLER(RowGradientsHandler, RowGradientsImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Ret<ffi::BufferR2<ffi::F32>>()
                          .Ret<ffi::BufferR1<ffi::S32>>()
                          .Attr<Ints>("lookups")
                          .Attr<Ints>("layout")
                          .Attr<Ints>("shapes"));

}  // namespace jaxtbe
