#include "csrc/cpu/simd/update_kernel.h"

#include <cmath>

#include "csrc/common/math.h"
#include "csrc/common/optim/rules.h"
#include "csrc/common/rounding.h"
#include "csrc/cpu/simd/row.h"
#include "csrc/cpu/simd/sum_rows.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {
namespace {

constexpr int64_t kAhead = 12;

// The gradients of the occurrences of one row: a policy of SumRows.
template <bool kCoefficients>
struct GradientRows {
  static constexpr bool kWeighted = kCoefficients;
  const SortedOccurrences& occurrences;

  JAXTBE_HD bool Has(int64_t) const { return true; }
  JAXTBE_HD const float* Row(int64_t i) const { return occurrences.d_rows[occurrences.Occurrence(i)]; }
  JAXTBE_HD float Coefficient(int64_t i) const { return occurrences.coefficients[occurrences.Occurrence(i)]; }
  JAXTBE_HD void Prefetch(int64_t) const {}
};

// The gradient of a row: the sum over its occurrences [begin, end), or that of the first or last alone.
JAXTBE_HD const float* RowGradient(const SortedOccurrences& occurrences, Range range, const UpdateTable& table,
                                   float* buffer) {
  if (table.duplicates == Duplicates::kFirst) range.end = range.begin + 1;
  if (table.duplicates == Duplicates::kLast) range.begin = range.end - 1;
  const GradientRows<true> weighted{occurrences};
  const bool has_coefficients = occurrences.coefficients != nullptr;
  if (range.end == range.begin + 1 && (!has_coefficients || weighted.Coefficient(range.begin) == 1)) {
    return weighted.Row(range.begin);  // as it is: no copy, and no arithmetic that could change a zero's sign
  }
  if (has_coefficients) {
    SumRows(weighted, range.begin, range.end, table.dim, buffer);
  } else {
    SumRows(GradientRows<false>{occurrences}, range.begin, range.end, table.dim, buffer);
  }
  return buffer;
}

// Clipping and L2 decay, which come before every rule.
JAXTBE_HD const float* AdjustGradient(const float* g, const float* w, const Hyper& h, int64_t dim, float* buffer) {
  if (std::isinf(h.clip) && h.l2 == 0) return g;
  ForEachPack(dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    V value = Clip(Load<V>(g + c), h.clip);
    if (h.l2 != 0) value += h.l2 * Load<V>(w + c);
    Store<V>(buffer + c, value);
  });
  return buffer;
}

JAXTBE_HD void LimitNorm(float* w, float max_norm, int64_t dim) {
  if (std::isinf(max_norm)) return;
  const float norm = Sqrt(SumPacks(dim, [&](auto pack, int64_t c) {
    const auto v = Load<decltype(pack)>(w + c);
    return v * v;
  }));
  if (!(norm > max_norm)) return;
  const float scale = max_norm / norm;
  ForEachPack(dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    Store<V>(w + c, scale * Load<V>(w + c));
  });
}

template <class T>
JAXTBE_HD void ToFloats(const T* from, int64_t dim, float* to) {
  ForEachPack(dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    Store<V>(to + c, Load<V>(from + c));
  });
}

template <class T>
JAXTBE_HD void FromFloats(const float* from, int64_t dim, T* to) {
  for (int64_t c = 0; c < dim; ++c) to[c] = FromFloat<T>(from[c]);
}
template <class T>
JAXTBE_HD void FromFloatsStochastic(const float* from, int64_t dim, uint32_t row_key, T* to) {
  for (int64_t c = 0; c < dim; ++c) to[c] = FromFloat<T>(from[c], Noise(row_key, static_cast<uint32_t>(c)));
}

// One table under update: its rule and the addresses of its rows.
template <class Rule, class T>
struct TableUpdater {
  static constexpr bool kStaged = !std::is_same_v<T, float>;
  const UpdateTable& table;
  Hyper hyper;
  Rule rule;

  explicit TableUpdater(const UpdateTable& t)
      : table(t), hyper(*reinterpret_cast<const Hyper*>(t.hyper)), rule(hyper, t.hyper + kNumCommonHypers) {}

  JAXTBE_HD T* Weights(int64_t row) const { return static_cast<T*>(table.data) + row * table.dim; }
  JAXTBE_HD bool StateIsStaged(int k) const { return table.element_state_dtypes[k] != DType::kFloat32; }

  JAXTBE_HD void Prefetch(int64_t row) const {
    PrefetchLinesForWrite(Weights(row), table.dim * sizeof(T));
    for (int k = 0; k < Rule::kElementStates; ++k) {
      const int64_t bytes = table.dim * ByteSize(table.element_state_dtypes[k]);
      PrefetchLinesForWrite(static_cast<char*>(table.element_states[k]) + row * bytes, bytes);
    }
    for (int k = 0; k < Rule::kRowStates; ++k) __builtin_prefetch(table.row_states[k] + row, 1, 3);
  }

  // `buffer` holds the gradient's place, then those of the staged row and states.
  JAXTBE_HD void Apply(int64_t row, const float* g, float* buffer) const {
    const int64_t dim = table.dim;
    Row<Rule::kElementStates> r;
    r.dim = static_cast<float>(dim);
    if constexpr (kStaged) {
      r.w = buffer + dim;
      ToFloats(Weights(row), dim, r.w);
    } else {
      r.w = Weights(row);
    }
    r.g = AdjustGradient(g, r.w, hyper, dim, buffer);
    for (int k = 0; k < Rule::kElementStates; ++k) {
      if (StateIsStaged(k)) {
        r.element_states[k] = buffer + (2 + k) * dim;
        ToFloats(static_cast<const BFloat16*>(table.element_states[k]) + row * dim, dim, r.element_states[k]);
      } else {
        r.element_states[k] = static_cast<float*>(table.element_states[k]) + row * dim;
      }
    }
    if constexpr (Rule::kRowStates > 0) r.row_state = table.row_states[0] + row;

    rule(r);

    LimitNorm(r.w, hyper.max_norm, dim);
    if constexpr (kStaged) {
      if (hyper.stochastic != 0) {
        FromFloatsStochastic(r.w, dim, RowNoiseKey(table.noise_key, static_cast<uint32_t>(row)), Weights(row));
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
  const SortedOccurrences& occurrences = run.occurrences;
  int64_t i = range.begin;
  if (i > 0) {  // a row belongs to the part that has its first occurrence
    const uint32_t before = occurrences.Key(i - 1);
    while (i < range.end && occurrences.Key(i) == before) ++i;
  }
  int64_t t = 0;
  while (i < range.end && occurrences.Key(i) < occurrences.num_rows) {
    while (occurrences.Key(i) >= run.bases[t + 1]) ++t;
    const TableUpdater<Rule, T> table(run.tables[t]);
    const int64_t first_key = run.bases[t], last_key = run.bases[t + 1];
    while (i < range.end && occurrences.Key(i) < last_key) {
      const int64_t key = occurrences.Key(i), begin = i;
      while (i < occurrences.count && occurrences.Key(i) == key) {
        const int64_t next = i + kAhead;
        if (next < range.end && occurrences.Key(next) < last_key &&
            occurrences.Key(next) != occurrences.Key(next - 1)) {
          table.Prefetch(occurrences.Key(next) - first_key);
        }
        ++i;
      }
      table.Apply(key - first_key, RowGradient(occurrences, {begin, i}, table.table, buffer), buffer);
    }
  }
}

}  // namespace

template <class Rule>
void UpdateRows(const UpdateRun& run, Range range, float* buffer) {
  switch (run.dtype) {
    case DType::kFloat32:
      return UpdateRowsOf<Rule, float>(run, range, buffer);
    case DType::kBFloat16:
      return UpdateRowsOf<Rule, BFloat16>(run, range, buffer);
    case DType::kFloat16:
      return UpdateRowsOf<Rule, Float16>(run, range, buffer);
  }
}

#define JAXTBE_INSTANTIATE(Rule) template void UpdateRows<Rule>(const UpdateRun&, Range, float*);
JAXTBE_FOR_EACH_RULE(JAXTBE_INSTANTIATE)
#undef JAXTBE_INSTANTIATE

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
