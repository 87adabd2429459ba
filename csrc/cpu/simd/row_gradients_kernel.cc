#include "csrc/cpu/simd/row_gradients_kernel.h"

#include "csrc/cpu/simd/touched_rows.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {
namespace {

struct NormVisitor {
  const TouchedRows& touched;
  int64_t table;
  float* buffer;
  double* norms;

  JAXTBE_HD void Prefetch(int64_t) const {}
  JAXTBE_HD void Visit(int64_t, Range range) const {
    const SourceTable& shape = touched.tables[table];
    const float* g = RowGradient(touched.occurrences, range, shape, buffer);
    norms[table] += SumPacks(shape.dim, [&](auto pack, int64_t c) {
      const auto v = Load<decltype(pack)>(g + c);
      return v * v;
    });
  }
};

struct WriteVisitor {
  const TouchedRows& touched;
  int64_t table;
  float* buffer;
  int32_t*& rows;
  float*& gradients;

  JAXTBE_HD void Prefetch(int64_t) const {}
  JAXTBE_HD void Visit(int64_t row, Range range) const {
    const SourceTable& shape = touched.tables[table];
    const float* g = RowGradient(touched.occurrences, range, shape, buffer);
    *rows++ = static_cast<int32_t>(row);
    memcpy(gradients, g, sizeof(float) * shape.dim);
    gradients += shape.dim;
  }
};

}  // namespace

void SquareNorms(const TouchedRows& touched, Range range, float* buffer, double* norms) {
  VisitTouchedRows(touched, range, [&](int64_t t) { return NormVisitor{touched, t, buffer, norms}; });
}

void WriteGradients(const TouchedRows& touched, Range range, float* buffer, int32_t* rows, float* gradients) {
  VisitTouchedRows(touched, range, [&](int64_t t) { return WriteVisitor{touched, t, buffer, rows, gradients}; });
}

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
