#include "csrc/cpu/simd/lookup_kernel.h"

#include <algorithm>

#include "csrc/cpu/simd/sum_rows.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {
namespace {

constexpr int64_t kAhead = 12;  // rows between a prefetch and the use: 8 to 16 do best

// The rows of a table that ids name: a policy of SumRows.
template <class T, bool kWeights, bool kAllValid>
struct TableRows {
  static constexpr bool kWeighted = kWeights;
  const T* table;
  int64_t rows, dim;
  const int32_t* ids;
  const float* weights;
  int64_t end;  // of the ids worth prefetching

  JAXTBE_HD bool Valid(int64_t i) const { return static_cast<uint32_t>(ids[i]) < static_cast<uint64_t>(rows); }
  JAXTBE_HD bool Has(int64_t i) const { return kAllValid || Valid(i); }
  JAXTBE_HD const T* Row(int64_t i) const { return table + ids[i] * dim; }
  JAXTBE_HD float Coefficient(int64_t i) const { return weights[i]; }
  JAXTBE_HD void Prefetch(int64_t i) const {
    if (i + kAhead < end && Valid(i + kAhead)) PrefetchLines(Row(i + kAhead), dim * sizeof(T));
  }
};

struct BagCount {
  int64_t valid;
  bool all_valid;
};

JAXTBE_HD BagCount CountIds(const int32_t* ids, Range bag, int64_t rows, Faults& faults) {
  int64_t valid = 0;
  for (int64_t i = bag.begin; i < bag.end; ++i) valid += static_cast<uint32_t>(ids[i]) < static_cast<uint64_t>(rows);
  const bool all_valid = valid == bag.end - bag.begin;
  if (!all_valid) {
    for (int64_t i = bag.begin; i < bag.end; ++i) {
      if (ids[i] >= rows) faults.Add(ids[i]);
    }
  }
  return {valid, all_valid};
}

// Calls f(rows) with the policy for this bag.
template <class T, class F>
JAXTBE_HD void WithRows(const LookupTable& table, const BagsView& bags, int64_t end, bool all_valid, F f) {
  const T* data = static_cast<const T*>(table.data);
#define JAXTBE_ROWS(weighted, valid) \
  f(TableRows<T, weighted, valid>{data, table.rows, table.dim, bags.ids, bags.id_weights, end})
  if (bags.id_weights) {
    all_valid ? JAXTBE_ROWS(true, true) : JAXTBE_ROWS(true, false);
  } else {
    all_valid ? JAXTBE_ROWS(false, true) : JAXTBE_ROWS(false, false);
  }
#undef JAXTBE_ROWS
}

JAXTBE_HD void Zero(float* out, int64_t n) {
  if (n > 0) memset(out, 0, sizeof(float) * n);
}

// What a write-only feature reads. Minus zero is the exact neutral element of addition: with it, the gradient of the
// writeback loss is minus the target bit for bit, zeros of either sign included.
JAXTBE_HD void FillMinusZero(float* out, int64_t n) {
  for (int64_t i = 0; i < n; ++i) out[i] = -0.0f;
}

// A bag in the form of Pooling::kNone: one row an id, zeros for ids that are not valid and past the bag's end.
template <class Rows>
JAXTBE_HD void CopyRows(const Rows& rows, Range bag, int64_t max_length, float* out) {
  const int64_t length = std::min(bag.end - bag.begin, max_length);
  for (int64_t j = 0; j < length; ++j) {
    const int64_t i = bag.begin + j;
    rows.Prefetch(i);
    float* to = out + j * rows.dim;
    if (!rows.Has(i)) {
      Zero(to, rows.dim);
      continue;
    }
    const auto* row = rows.Row(i);
    float coefficient = 1.0f;
    if constexpr (Rows::kWeighted) coefficient = rows.Coefficient(i);
    ForEachPack(rows.dim, [&](auto pack, int64_t c) {
      using V = decltype(pack);
      V value = Load<V>(row + c);
      if constexpr (Rows::kWeighted) value *= coefficient;
      Store<V>(to + c, value);
    });
  }
  Zero(out + length * rows.dim, (max_length - length) * rows.dim);
}

template <class Rows>
JAXTBE_HD void PoolRows(const Rows& rows, Range bag, bool mean, int64_t valid, float* out) {
  SumRows(rows, bag.begin, bag.end, rows.dim, out);
  if (!mean || valid <= 1) return;
  const float count = static_cast<float>(valid);
  ForEachPack(rows.dim, [&](auto pack, int64_t c) {
    using V = decltype(pack);
    Store<V>(out + c, Load<V>(out + c) / count);
  });
}

}  // namespace

template <class T>
Faults LookupBags(const LookupArgs& args, int64_t f, Range samples) {
  const LookupFeature& feature = args.features[f];
  const LookupTable& table = args.tables[feature.table];
  const BagsView& bags = args.bags;
  const int64_t width = feature.pooling == Pooling::kNone ? feature.max_length * table.dim : table.dim;
  const int64_t end = samples.end > samples.begin ? bags.Bag(f, samples.end - 1).end : 0;
  Faults faults;
  for (int64_t b = samples.begin; b < samples.end; ++b) {
    const Range bag = bags.Bag(f, b);
    float* out = args.acts + b * args.stride + feature.column;
    const BagCount count = CountIds(bags.ids, bag, table.rows, faults);
    if (!feature.reads) {
      FillMinusZero(out, width);
      continue;
    }
    if (bag.begin == bag.end) {
      Zero(out, width);
      continue;
    }
    WithRows<T>(table, bags, end, count.all_valid, [&](const auto& rows) {
      if (feature.pooling == Pooling::kNone) {
        CopyRows(rows, bag, feature.max_length, out);
      } else {
        PoolRows(rows, bag, feature.pooling == Pooling::kMean, count.valid, out);
      }
    });
  }
  return faults;
}

template <class T>
void IdWeightsGradBags(const IdWeightsGradArgs& args, int64_t f, Range samples) {
  const LookupArgs& lookup = args.lookup;
  const LookupFeature& feature = lookup.features[f];
  if (!feature.reads) return;
  const LookupTable& table = lookup.tables[feature.table];
  const BagsView& bags = lookup.bags;
  const int64_t end = samples.end > samples.begin ? bags.Bag(f, samples.end - 1).end : 0;
  for (int64_t b = samples.begin; b < samples.end; ++b) {
    const Range bag = bags.Bag(f, b);
    Faults ignored;
    const BagCount count = CountIds(bags.ids, bag, table.rows, ignored);
    const float* d_out = args.d_acts + b * lookup.stride + feature.column;
    const bool none = feature.pooling == Pooling::kNone;
    const float scale = feature.pooling == Pooling::kMean && count.valid > 1 ? static_cast<float>(count.valid) : 1.0f;
    const int64_t stop = none ? std::min(bag.end, bag.begin + feature.max_length) : bag.end;
    const TableRows<T, false, false> rows{
        static_cast<const T*>(table.data), table.rows, table.dim, bags.ids, nullptr, end};
    for (int64_t i = bag.begin; i < stop; ++i) {
      rows.Prefetch(i);
      if (!rows.Has(i)) continue;
      const T* row = rows.Row(i);
      const float* d_row = none ? d_out + (i - bag.begin) * table.dim : d_out;
      const float dot = SumPacks(table.dim, [&](auto pack, int64_t c) {
        using V = decltype(pack);
        return Load<V>(row + c) * Load<V>(d_row + c);
      });
      args.d_id_weights[i] = dot / scale;
    }
  }
}

#define JAXTBE_INSTANTIATE(T)                                       \
  template Faults LookupBags<T>(const LookupArgs&, int64_t, Range); \
  template void IdWeightsGradBags<T>(const IdWeightsGradArgs&, int64_t, Range);
JAXTBE_INSTANTIATE(float)
JAXTBE_INSTANTIATE(BFloat16)
JAXTBE_INSTANTIATE(Float16)
#undef JAXTBE_INSTANTIATE

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
