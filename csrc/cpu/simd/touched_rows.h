// The loop over touched rows, and the gradient of one: what every backward kernel is made of.
#pragma once

#include "csrc/cpu/occurrences.h"
#include "csrc/cpu/simd/sum_rows.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

// The gradients of the occurrences of one row: a policy of SumRows.
template <bool kCoefficients>
struct GradientRows {
  static constexpr bool kWeighted = kCoefficients;
  const SortedOccurrences& occurrences;
  int64_t dim;

  JAXTBE_HD bool Has(int64_t) const { return true; }
  JAXTBE_HD const float* Row(int64_t i) const { return occurrences.d_rows[occurrences.Occurrence(i)]; }
  JAXTBE_HD float Coefficient(int64_t i) const { return occurrences.coefficients[occurrences.Occurrence(i)]; }
  // Two steps: the address of a gradient some occurrences ahead, then the gradient itself. Neighbours in the sorted
  // order are strangers in the batch, so neither is in cache by chance.
  JAXTBE_HD void Prefetch(int64_t i) const {
    constexpr int64_t kNear = 8, kFar = 16;
    if (i + kFar < occurrences.count) __builtin_prefetch(occurrences.d_rows + occurrences.Occurrence(i + kFar), 0, 3);
    if (i + kNear < occurrences.count) PrefetchLines(Row(i + kNear), dim * sizeof(float));
  }
};

// The gradient of a row: the sum over its occurrences [begin, end), or that of the first or last alone.
JAXTBE_HD const float* RowGradient(const SortedOccurrences& occurrences, Range range, const SourceTable& table,
                                   float* buffer) {
  if (table.duplicates == Duplicates::kFirst) range.end = range.begin + 1;
  if (table.duplicates == Duplicates::kLast) range.begin = range.end - 1;
  const GradientRows<true> weighted{occurrences, table.dim};
  const bool has_coefficients = occurrences.coefficients != nullptr;
  if (range.end == range.begin + 1 && (!has_coefficients || weighted.Coefficient(range.begin) == 1)) {
    weighted.Prefetch(range.begin);
    return weighted.Row(range.begin);  // as it is: no copy, and no arithmetic that could change a zero's sign
  }
  if (has_coefficients) {
    SumRows(weighted, range.begin, range.end, table.dim, buffer);
  } else {
    SumRows(GradientRows<false>{occurrences, table.dim}, range.begin, range.end, table.dim, buffer);
  }
  return buffer;
}

// Visits the rows whose first sorted occurrence is in `range`. `open(t)` gives the visitor of a table, with
// Prefetch(row), called some rows ahead, and Visit(row, range of its sorted occurrences).
template <class OpenTable>
JAXTBE_HD void VisitTouchedRows(const TouchedRows& touched, Range range, OpenTable open) {
  constexpr int64_t kAhead = 8;
  const SortedOccurrences& occurrences = touched.occurrences;
  int64_t i = range.begin;
  if (i > 0) {  // a row belongs to the part that has its first occurrence
    const uint32_t before = occurrences.Key(i - 1);
    while (i < range.end && occurrences.Key(i) == before) ++i;
  }
  int64_t t = 0;
  while (i < range.end && occurrences.Key(i) < occurrences.num_rows) {
    while (occurrences.Key(i) >= touched.bases[t + 1]) ++t;
    auto visitor = open(t);
    const int64_t first_key = touched.bases[t], last_key = touched.bases[t + 1];
    while (i < range.end && occurrences.Key(i) < last_key) {
      const int64_t key = occurrences.Key(i), begin = i;
      while (i < occurrences.count && occurrences.Key(i) == key) {
        const int64_t next = i + kAhead;
        if (next < range.end && occurrences.Key(next) < last_key &&
            occurrences.Key(next) != occurrences.Key(next - 1)) {
          visitor.Prefetch(occurrences.Key(next) - first_key);
        }
        ++i;
      }
      visitor.Visit(key - first_key, Range{begin, i});
    }
  }
}

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
