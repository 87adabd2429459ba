#include "csrc/cpu/update.h"

#include <string_view>
#include <vector>

#include "csrc/common/rounding.h"
#include "xla_ffi/args.h"
#include "xla_ffi/backend.h"
#include "xla_ffi/handlers.h"

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

// `lookups`: for each lookup (number of sources, has id weights, has update mask).
// `layout`: for each source (feature, number of features, table, pooling, column, max_length).
// Operands of each lookup: ids, offsets, id weights, update mask, d_acts.
std::vector<Source> ReadSources(OperandReader& read, Ints lookups, Ints layout, int64_t* capacity) {
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

// Operands: hyper f32[tables, K], (seed, step) u32[2], those of the lookups, the tables, their states (table by table),
// and tokens, which only order this call behind the reads of the tables. Results: scratch, tables, states.
ffi::Error UpdateImpl(ffi::ThreadPool threads, ffi::BufferR2<ffi::F32> hyper, ffi::BufferR1<ffi::U32> seed_and_step,
                      ffi::RemainingArgs operands, ffi::ResultBufferR1<ffi::U8> scratch, ffi::RemainingRets results,
                      std::string_view rule_name, Ints lookups, Ints layout, Ints duplicates, Ints table_ids) {
  const RuleInfo* rule = FindRule(rule_name);
  if (rule == nullptr) return BuildFault("there is no update rule '" + std::string(rule_name) + "'");
  OperandReader read(operands);
  int64_t capacity = 0;
  const std::vector<Source> sources = ReadSources(read, lookups, layout, &capacity);
  if (!read.ok()) return read.error();

  const int64_t num_tables = static_cast<int64_t>(duplicates.size()),
                num_states = rule->element_states + rule->row_states;
  std::vector<UpdateTable> tables(num_tables);
  DType dtype = DType::kFloat32;
  int64_t max_dim = 1;
  for (int64_t t = 0; t < num_tables; ++t) {
    auto data = results.get<ffi::AnyBuffer>(t);
    if (!data.has_value()) return BuildFault("a table is missing");
    const ffi::AnyBuffer table = **data;
    dtype = TableDType(table);
    UpdateTable& out = tables[t];
    out.data = table.untyped_data();
    out.rows = table.dimensions()[0];
    out.dim = table.dimensions()[1];
    max_dim = std::max(max_dim, out.dim);
    for (int k = 0; k < num_states; ++k) {
      auto state = results.get<ffi::AnyBuffer>(num_tables + t * num_states + k);
      if (!state.has_value()) return BuildFault("an optimizer state is missing");
      if (k < rule->element_states) {
        out.element_states[k] = (*state)->untyped_data();
        out.element_state_dtypes[k] = TableDType(**state);
      } else {
        out.row_states[k - rule->element_states] = static_cast<float*>((*state)->untyped_data());
      }
    }
    out.hyper = hyper.typed_data() + t * hyper.dimensions()[1];
    out.duplicates = static_cast<Duplicates>(duplicates[t]);
    out.noise_key =
        NoiseKey(seed_and_step.typed_data()[0], seed_and_step.typed_data()[1], static_cast<uint32_t>(table_ids[t]));
  }
  if (scratch->size_bytes() < UpdateScratchBytes(capacity, max_dim))
    return BuildFault("the update's scratch is too small");
  Update({dtype, static_cast<Rule>(rule->rule), tables.data(), num_tables, sources.data(),
          static_cast<int64_t>(sources.size()), capacity, scratch->untyped_data()},
         XlaPool(threads));
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(UpdateHandler, UpdateImpl,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR2<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::U32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::BufferR1<ffi::U8>>()
                                  .RemainingRets()
                                  .Attr<std::string_view>("rule")
                                  .Attr<Ints>("lookups")
                                  .Attr<Ints>("layout")
                                  .Attr<Ints>("duplicates")
                                  .Attr<Ints>("table_ids"));

}  // namespace jaxtbe
