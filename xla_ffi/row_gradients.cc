#include <vector>

#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/source_args.h"

namespace jaxtbe {
namespace {

struct Operands {
  RowGradientsArgs args = {};
  std::vector<SourceTable> tables;
  std::vector<Source> sources;
  std::string fault;
};

// Operands: those of the lookups; then tokens.
Operands ReadOperands(ffi::RemainingArgs operands, Ints lookups, Ints layout, Ints shapes,
                      ffi::ResultBufferR1<ffi::U8>& scratch) {
  Operands out;
  OperandReader read(operands);
  out.sources = ReadSources(read, lookups, layout, &out.args.capacity);
  out.tables = ReadShapes(shapes);
  out.args.tables = out.tables.data();
  out.args.num_tables = static_cast<int64_t>(out.tables.size());
  out.args.sources = out.sources.data();
  out.args.num_sources = static_cast<int64_t>(out.sources.size());
  out.args.scratch = scratch->untyped_data();
  const size_t needed =
      RowGradientsScratchBytes(out.args.capacity, MaxDim(out.args.tables, out.args.num_tables), out.args.num_tables);
  if (!read.ok()) out.fault = read.fault();
  if (read.ok() && scratch->size_bytes() < needed) out.fault = "the scratch of the row gradients is too small";
  return out;
}

ffi::Error SquareNormsImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch,
                           ffi::ResultBufferR1<ffi::F32> norms, Ints lookups, Ints layout, Ints shapes) {
  const Operands in = ReadOperands(operands, lookups, layout, shapes, scratch);
  if (!in.fault.empty()) return BuildFault(in.fault);
  return RunOn(context, [&](const auto& on) { return SquareNorms(in.args, norms->typed_data(), on); });
}

ffi::Error RowGradientsImpl(ContextArg context, ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch,
                            ffi::ResultBufferR1<ffi::S32> rows, ffi::ResultBufferR2<ffi::F32> gradients,
                            ffi::ResultBufferR1<ffi::S32> starts, Ints lookups, Ints layout, Ints shapes) {
  const Operands in = ReadOperands(operands, lookups, layout, shapes, scratch);
  if (!in.fault.empty()) return BuildFault(in.fault);
  const RowGradientsOutput out = {rows->typed_data(), gradients->typed_data(), starts->typed_data()};
  return RunOn(context, [&](const auto& on) { return RowGradients(in.args, out, on); });
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
