#include "csrc/cpu/simd/update_kernel.h"

#include "csrc/common/dtype.h"
#include "csrc/common/optim/rules.h"
#include "csrc/common/optim/step.h"
#include "csrc/common/rounding.h"
#include "csrc/cpu/simd/row.h"
#include "csrc/cpu/simd/touched_rows.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {
namespace {

template <class T>
JAXTBE_HD void ToFloats(const T* from, int64_t dim, float* to) {
  ForEachPack(dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    Store<V>(to + c, Load<V>(from + c));
  });
}

template <class T>
JAXTBE_HD void FromFloats(const float* from, int64_t dim, T* to) {
  ForEachPack(dim, [&](auto pack, int64_t c) { Store(to + c, Load<decltype(pack)>(from + c)); });
}

template <class T>
JAXTBE_HD void FromFloatsStochastic(const float* from, int64_t dim, uint32_t row_key, T* to) {
  ForEachPack(dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    if constexpr (kWidth<V> == 1 || std::is_same_v<T, Float16>) {
      for (int k = 0; k < kWidth<V>; ++k) {
        to[c + k] = FromFloat<T>(from[c + k], Noise(row_key, static_cast<uint32_t>(c + k)));
      }
    } else {
      typename Integers<V>::Full columns = {};
      for (int k = 0; k < kWidth<V>; ++k) columns[k] = static_cast<uint32_t>(c + k);
      StoreRounded(to + c, Load<V>(from + c), Noise(row_key, columns));
    }
  });
}

// One table under update: its rule and the addresses of its rows.
template <class Rule, class T>
struct TableUpdater {
  static constexpr bool kStaged = !std::is_same_v<T, float>;
  const SortedOccurrences& occurrences;
  const SourceTable& shape;
  const UpdateTable& table;
  float* buffer;  // the gradient's place, then those of the staged row and states
  Hyper hyper;
  Rule rule;
  uint32_t noise_key, first_row;

  TableUpdater(const UpdateRun& run, int64_t t, float* place)
      : occurrences(run.rows.occurrences),
        shape(run.rows.tables[t]),
        table(run.tables[t]),
        buffer(place),
        hyper(*reinterpret_cast<const Hyper*>(table.hyper)),
        rule(hyper, table.hyper + kNumCommonHypers),
        noise_key(NoiseKey(run.noise[0], run.noise[1], table.number)),
        first_row(run.noise[2 + t]) {}

  JAXTBE_HD T* Weights(int64_t row) const { return static_cast<T*>(table.data) + row * shape.dim; }
  JAXTBE_HD bool StateIsStaged(int k) const { return table.element_state_dtypes[k] != DType::kFloat32; }

  JAXTBE_HD void Prefetch(int64_t row) const {
    PrefetchLinesForWrite(Weights(row), shape.dim * sizeof(T));
    for (int k = 0; k < Rule::kElementStates; ++k) {
      const int64_t bytes = shape.dim * ByteSize(table.element_state_dtypes[k]);
      PrefetchLinesForWrite(static_cast<char*>(table.element_states[k]) + row * bytes, bytes);
    }
    for (int k = 0; k < Rule::kRowStates; ++k) __builtin_prefetch(table.row_states[k] + row, 1, 3);
  }

  JAXTBE_HD void Visit(int64_t row, Range range) const {
    const float* g = RowGradient(occurrences, range, shape, buffer);
    const int64_t dim = shape.dim;
    Row<Rule::kElementStates> r;
    r.dim = static_cast<float>(dim);
    if constexpr (kStaged) {
      r.w = buffer + dim;
      ToFloats(Weights(row), dim, r.w);
    } else {
      r.w = Weights(row);
    }
    r.g = g;
    r.new_g = buffer;
    for (int k = 0; k < Rule::kElementStates; ++k) {
      if (StateIsStaged(k)) {
        r.element_states[k] = buffer + (2 + k) * dim;
        ToFloats(static_cast<const BFloat16*>(table.element_states[k]) + row * dim, dim, r.element_states[k]);
      } else {
        r.element_states[k] = static_cast<float*>(table.element_states[k]) + row * dim;
      }
    }
    if constexpr (Rule::kRowStates > 0) r.row_state = table.row_states[0] + row;

    Step(rule, hyper, r);

    if constexpr (kStaged) {
      if (hyper.stochastic != 0) {
        FromFloatsStochastic(r.w, dim, RowNoiseKey(noise_key, first_row + static_cast<uint32_t>(row)), Weights(row));
      } else {
        FromFloats(r.w, dim, Weights(row));
      }
    }
    for (int k = 0; k < Rule::kElementStates; ++k) {
      if (!StateIsStaged(k)) continue;
      FromFloats(r.element_states[k], dim, static_cast<BFloat16*>(table.element_states[k]) + row * dim);
    }
  }
};

template <class Rule, class T>
void UpdateRowsOf(const UpdateRun& run, Range range, float* buffer) {
  VisitTouchedRows(run.rows, range, [&](int64_t t) { return TableUpdater<Rule, T>(run, t, buffer); });
}

}  // namespace

template <class Rule>
void UpdateRows(const UpdateRun& run, Range range, float* buffer) {
  VisitDType(run.dtype, [&](auto zero) { UpdateRowsOf<Rule, decltype(zero)>(run, range, buffer); });
}

#define JAXTBE_INSTANTIATE(Rule) template void UpdateRows<Rule>(const UpdateRun&, Range, float*);
JAXTBE_FOR_EACH_RULE(JAXTBE_INSTANTIATE)
#undef JAXTBE_INSTANTIATE

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
