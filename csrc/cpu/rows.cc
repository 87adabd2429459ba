#include "csrc/cpu/ops.h"

#include <algorithm>
#include <cstring>

#include "csrc/common/dtype.h"

namespace jaxtbe {
namespace {

// f(entry, address of its row) for every entry that names a row; entries are split over the pool.
template <class T, class F>
void ForEachRow(const RowsArgs& args, const Pool& pool, const F& f) {
  constexpr int64_t kAhead = 12;
  const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i, 0, args.count); };
  const int64_t parts = NumParts(args.count, 256);
  ParallelFor(pool, parts, [&](int64_t part) {
    const Range range = Part(args.count, parts, part);
    for (int64_t t = 0; t < args.num_tables; ++t) {
      const RowsTable& table = args.tables[t];
      const int64_t begin = std::max(range.begin, clamp(args.starts[t]));
      const int64_t end = std::min(range.end, clamp(args.starts[t + 1]));
      T* data = static_cast<T*>(table.data);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t next = std::min(i + kAhead, end - 1);
        __builtin_prefetch(data + std::clamp<int64_t>(args.rows[next], 0, table.rows - 1) * args.dim, 1);
        const int64_t row = args.rows[i];
        if (row >= 0 && row < table.rows) f(i, data + row * args.dim);
      }
    }
  });
}

template <class T>
void Gather(const RowsArgs& args, float* out, const Pool& pool) {
  std::memset(out, 0, sizeof(float) * args.count * args.dim);
  ForEachRow<T>(args, pool, [&](int64_t i, const T* row) {
    for (int64_t c = 0; c < args.dim; ++c) out[i * args.dim + c] = ToFloat(row[c]);
  });
}

template <class T>
void Store(const RowsArgs& args, const float* values, const Pool& pool) {
  ForEachRow<T>(args, pool, [&](int64_t i, T* row) {
    for (int64_t c = 0; c < args.dim; ++c) row[c] = FromFloat<T>(values[i * args.dim + c]);
  });
}

}  // namespace

void GatherRows(const RowsArgs& args, float* out, const Pool& pool) {
  VisitDType(args.dtype, [&](auto zero) { Gather<decltype(zero)>(args, out, pool); });
}

void StoreRows(const RowsArgs& args, const float* values, const Pool& pool) {
  VisitDType(args.dtype, [&](auto zero) { Store<decltype(zero)>(args, values, pool); });
}

}  // namespace jaxtbe
