#include <string_view>
#include <vector>

#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"
#include "xla_ffi/source_args.h"

namespace jaxtbe {
namespace {

struct RuleInfo {
  std::string_view name;
  int element_states, row_states, rule;
};
#define JAXTBE_RULE_INFO(Name) {Name::kName, Name::kElementStates, Name::kRowStates, static_cast<int>(Rule::k##Name)},
constexpr RuleInfo kRules[] = {JAXTBE_FOR_EACH_RULE(JAXTBE_RULE_INFO)};
#undef JAXTBE_RULE_INFO

const RuleInfo* FindRule(std::string_view name) {
  for (const RuleInfo& rule : kRules) {
    if (rule.name == name) return &rule;
  }
  return nullptr;
}

// The buffers of table t: the table itself, and its states in the rule's order. Returns a fault, or "".
std::string ReadTable(ffi::RemainingRets results, const RuleInfo& rule, const std::vector<SourceTable>& shapes,
                      int64_t t, DType& dtype, UpdateTable& out) {
  auto table = results.get<ffi::AnyBuffer>(t);
  if (!table.has_value()) return "a table is missing";
  const auto dims = (*table)->dimensions();
  if (dims.size() != 2 || dims[0] != shapes[t].rows || dims[1] != shapes[t].dim) return "a table has another shape";
  dtype = TableDType(**table);
  out.data = (*table)->untyped_data();
  const int num_states = rule.element_states + rule.row_states;
  for (int k = 0; k < num_states; ++k) {
    auto state = results.get<ffi::AnyBuffer>(shapes.size() + t * num_states + k);
    if (!state.has_value()) return "an optimizer state is missing";
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
  int64_t capacity = 0;
  const std::vector<Source> sources = ReadSources(read, lookups, layout, &capacity);
  if (!read.ok()) return read.error();

  const std::vector<SourceTable> shapes = ReadShapes(table_shapes);
  const int64_t num_tables = static_cast<int64_t>(shapes.size());
  if (static_cast<int64_t>(noise.element_count()) != 2 + num_tables) return BuildFault("noise has another length");
  std::vector<UpdateTable> tables(num_tables);
  DType dtype = DType::kFloat32;
  for (int64_t t = 0; t < num_tables; ++t) {
    const std::string fault = ReadTable(results, *rule, shapes, t, dtype, tables[t]);
    if (!fault.empty()) return BuildFault(fault);
    tables[t].hyper = hyper.typed_data() + t * hyper.dimensions()[1];
    tables[t].number = static_cast<uint32_t>(table_ids[t]);
  }
  if (scratch->size_bytes() < UpdateScratchBytes(capacity, MaxDim(shapes.data(), num_tables), num_tables)) {
    return BuildFault("the update's scratch is too small");
  }
  const UpdateArgs args = {
      dtype,          static_cast<Rule>(rule->rule),        tables.data(), shapes.data(),      num_tables,
      sources.data(), static_cast<int64_t>(sources.size()), capacity,      noise.typed_data(), scratch->untyped_data()};
  return RunOn(context, [&](const auto& on) { return Update(args, on); });
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
