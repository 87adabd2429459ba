#include "csrc/cpu/ops.h"

#include <algorithm>
#include <cstring>

#include "csrc/common/dtype.h"
#include "csrc/common/initial_value.h"

namespace jaxtbe {
namespace {

template <class T>
void FillRow(const ResetRowsArgs& args, int64_t i, uint32_t key) {
  constexpr float kStep = 1.0f / (1 << 23);
  T* row = static_cast<T*>(args.table) + args.slots[i] * args.dim;
  const uint32_t row_key = RowInitialKey(key, args.ids[i]);
  const float unit = args.scale * kStep;
  for (int64_t column = 0; column < args.dim; ++column) {
    row[column] = FromFloat<T>(InitialValue(row_key, static_cast<uint32_t>(column), unit));
  }
}

template <class T>
void Reset(const ResetRowsArgs& args, Range range, uint32_t key) {
  for (int64_t i = range.begin; i < range.end; ++i) {
    const int64_t slot = args.slots[i];
    if (slot < 0 || slot >= args.rows) continue;
    FillRow<T>(args, i, key);
    for (int64_t s = 0; s < args.num_states; ++s) {
      const ResetState& state = args.states[s];
      std::memset(static_cast<char*>(state.data) + slot * state.row_bytes, 0, state.row_bytes);
    }
  }
}

}  // namespace

void ResetRows(const ResetRowsArgs& args, const Pool& pool) {
  const uint32_t key = InitialKey(*args.seed, args.table_number);
  const int64_t count = std::find(args.slots, args.slots + args.num_slots, -1) - args.slots;
  const int64_t parts = NumParts(count, 128);
  ParallelFor(pool, parts, [&](int64_t part) {
    const Range range = Part(count, parts, part);
    VisitDType(args.dtype, [&](auto zero) { Reset<decltype(zero)>(args, range, key); });
  });
}

}  // namespace jaxtbe
