#include <string_view>
#include <vector>

#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/source_args.h"

namespace jaxtbe {
namespace {

struct RuleInfo {
  std::string_view name;
  int element_states, row_states, numbers, rule;
};
#define JAXTBE_RULE_INFO(Name) \
  {Name::kName, Name::kElementStates, Name::kRowStates, Name::kNumbers, static_cast<int>(Rule::k##Name)},
constexpr RuleInfo kRules[] = {JAXTBE_FOR_EACH_RULE(JAXTBE_RULE_INFO)};
#undef JAXTBE_RULE_INFO

const RuleInfo* FindRule(std::string_view name) {
  for (const RuleInfo& rule : kRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

// Whether a buffer is a state: f32 or bf16[rows, dim], or f32[rows].
bool IsState(const ffi::AnyBuffer& state, const SourceTable& shape, bool per_row) {
  const auto type = state.element_type();
  if (per_row) return type == ffi::F32 && HasShape(state, {shape.rows});
  return (type == ffi::F32 || type == ffi::BF16) && HasShape(state, {shape.rows, shape.dim});
}

// The buffers of table t: the table itself, and its states in the rule's order. Returns a misfit, or "".
std::string ReadTable(ffi::RemainingRets results, const RuleInfo& rule, const std::vector<SourceTable>& shapes,
                      int64_t t, DType& dtype, UpdateTable& out) {
  auto table = results.get<ffi::AnyBuffer>(t);
  const SourceTable& shape = shapes[t];
  if (!table.has_value() || !IsTable(**table) || !HasShape(**table, {shape.rows, shape.dim})) return "a table";
  if (t > 0 && TableDType(**table) != dtype) return "a table's dtype";
  dtype = TableDType(**table);
  out.data = (*table)->untyped_data();
  const int num_states = rule.element_states + rule.row_states;
  for (int k = 0; k < num_states; ++k) {
    auto state = results.get<ffi::AnyBuffer>(shapes.size() + t * num_states + k);
    if (!state.has_value() || !IsState(**state, shape, k >= rule.element_states)) return "an optimizer state";
    if (k < rule.element_states) {
      out.element_states[k] = (*state)->untyped_data();
      out.element_state_dtypes[k] = TableDType(**state);
    } else {
      out.row_states[k - rule.element_states] = static_cast<float*>((*state)->untyped_data());
    }
  }
  return "";
}

// Operands: hyper f32[tables, K], noise u32[2 + tables] (see UpdateArgs), those of the lookups, the tables, their
// states (table by table), and tokens, which only order this call behind the reads of the tables. Results: scratch,
// tables, states.
ffi::Error UpdateImpl(ContextArg context, ffi::BufferR2<ffi::F32> hyper, ffi::BufferR1<ffi::U32> noise,
                      ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch, ffi::RemainingRets results,
                      std::string_view rule_name, Ints lookups, Ints layout, Ints table_shapes, Ints table_ids) {
  const RuleInfo* rule = FindRule(rule_name);
  if (rule == nullptr) return BuildFault("there is no update rule '" + std::string(rule_name) + "'");
  OperandReader read(operands);
  SourceOperands in;
  RisingOffsets rising(scratch->untyped_data(), scratch->size_bytes());
  ReadSources(read, lookups, layout, table_shapes, rising, in);
  const std::vector<Source>& sources = in.sources;
  const std::vector<SourceTable>& shapes = in.tables;
  const int64_t num_tables = static_cast<int64_t>(shapes.size()), capacity = in.capacity;
  read.Require(HasShape(hyper, {num_tables, kNumCommonHypers + rule->numbers}), "operand 'hyper'");
  read.Require(HasShape(noise, {2 + num_tables}), "operand 'noise'");
  read.Require(static_cast<int64_t>(table_ids.size()) == num_tables, "the tables' numbers");
  if (!read.ok()) return read.error();
  std::vector<UpdateTable> tables(num_tables);
  DType dtype = DType::kFloat32;
  for (int64_t t = 0; t < num_tables; ++t) {
    const std::string fault = ReadTable(results, *rule, shapes, t, dtype, tables[t]);
    if (!fault.empty()) return Misfit(fault);
    tables[t].hyper = hyper.typed_data() + t * hyper.dimensions()[1];
    tables[t].number = static_cast<uint32_t>(table_ids[t]);
  }
  if (rising.rest_bytes() < UpdateScratchBytes(capacity, MaxDim(shapes.data(), num_tables), num_tables)) {
    return Misfit("the update's scratch");
  }
  const UpdateArgs args = {
      dtype,          static_cast<Rule>(rule->rule),        tables.data(), shapes.data(),      num_tables,
      sources.data(), static_cast<int64_t>(sources.size()), capacity,      noise.typed_data(), rising.rest()};
  return RunOnOffsets(context, rising, [&](const auto& on) { return Update(args, on); });
}

}  // namespace

JAXTBE_DEFINE_HANDLER(UpdateHandler, UpdateImpl,
                      ffi::Ffi::Bind()
                          .Ctx<Context>()
                          .Arg<ffi::BufferR2<ffi::F32>>()
                          .Arg<ffi::BufferR1<ffi::U32>>()
                          .RemainingArgs()
                          .Ret<ffi::BufferR1<ffi::U8>>()
                          .RemainingRets()
                          .Attr<std::string_view>("rule")
                          .Attr<Ints>("lookups")
                          .Attr<Ints>("layout")
                          .Attr<Ints>("shapes")
                          .Attr<Ints>("table_ids"));

}  // namespace jaxtbe
