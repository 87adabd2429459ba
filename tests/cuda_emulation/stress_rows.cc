// Checks of the operations on lists of rows, of mended offsets, and of finding ids.
#include <algorithm>
#include <map>

#include "csrc/common/half.h"
#include "csrc/common/initial_value.h"
#include "csrc/cuda/ops.h"
#include "csrc/cuda/rising_offsets.h"
#include "tests/cuda_emulation/stress.h"

namespace jaxtbe {
namespace {

// Two tables, so that lists have parts: features 0 and 1 write the first, feature 2 the second.
constexpr int64_t kTables = 2;
int64_t TableOf(int64_t feature) { return feature / 2; }

std::vector<Source> SourcesOf(const Batch& batch) {
  std::vector<Source> sources;
  for (int64_t f = 0; f < Batch::kFeatures; ++f) {
    sources.push_back({0, batch.View(), f, nullptr, batch.d_acts.data() + batch.Column(f), batch.stride, TableOf(f),
                       static_cast<Pooling>(f), Batch::kMaxLength});
  }
  return sources;
}

}  // namespace

void CheckRowGradients(const Batch& batch, int64_t round) {
  const SourceTable shape = {Batch::kRows, batch.dim, Duplicates::kSum}, shapes[] = {shape, shape};
  const std::vector<Source> sources = SourcesOf(batch);
  const int64_t capacity = static_cast<int64_t>(batch.ids.size());
  std::vector<unsigned char> scratch(RowGradientsScratchBytes(capacity, batch.dim, kTables), 0xff);
  const RowGradientsArgs args = {shapes,   kTables,       sources.data(), static_cast<int64_t>(sources.size()),
                                 capacity, scratch.data()};
  float norms[kTables];
  SquareNorms(args, norms, nullptr);
  std::vector<int32_t> rows(capacity), starts(kTables + 1);
  std::vector<float> gradients(capacity * batch.dim);
  RowGradients(args, {rows.data(), gradients.data(), starts.data()}, nullptr);

  std::map<int64_t, std::vector<double>> want;  // by table and row
  batch.ForEach([&](int64_t, int64_t row, int64_t sample, int64_t column, double coefficient) {
    const int64_t table = TableOf(std::min<int64_t>(column / batch.dim, Batch::kFeatures - 1));
    auto& sum = want[table * Batch::kRows + row];
    sum.resize(batch.dim);
    for (int64_t c = 0; c < batch.dim; ++c) {
      sum[c] += coefficient * batch.d_acts[sample * batch.stride + column + c];
    }
  });
  double want_norms[kTables] = {};
  int64_t i = 0, counts[kTables] = {};
  for (const auto& [key, sum] : want) {
    const int64_t table = key / Batch::kRows;
    ++counts[table];
    Check(i < capacity && rows[i] == key % Batch::kRows, "touched row", round, i);
    for (int64_t c = 0; c < batch.dim; ++c) {
      want_norms[table] += sum[c] * sum[c];
      Check(i < capacity && Near(gradients[i * batch.dim + c], sum[c]), "row gradient", round, i);
    }
    ++i;
  }
  for (int64_t t = 0; t < kTables; ++t) {
    Check(starts[t + 1] - starts[t] == counts[t], "rows of table", round, t);
    Check(Near(norms[t], want_norms[t]), "square norm", round, t);
  }
  for (; i < capacity; ++i) Check(rows[i] == -1 && gradients[i * batch.dim] == 0, "padding", round, i);
}

void CheckRows(const Batch& batch, int64_t round, std::mt19937_64& random) {
  const int64_t dim = batch.dim;
  std::vector<std::vector<BFloat16>> data(kTables, std::vector<BFloat16>(Batch::kRows * dim));
  std::vector<RowsTable> tables;
  for (auto& table : data) {
    for (BFloat16& x : table) x = ToBFloat16(static_cast<float>(random() % 17) / 8 - 1);
    tables.push_back({table.data(), Batch::kRows});
  }
  const std::vector<int32_t> rows = {4, 1, -1, 0, 5, Batch::kRows}, starts = {0, 3, 5};  // the last belongs to none
  const int64_t count = static_cast<int64_t>(rows.size());
  const RowsArgs args = {DType::kBFloat16, tables.data(), kTables, dim, rows.data(), starts.data(), count};
  std::vector<float> gathered(count * dim, NAN), values(count * dim);
  for (float& x : values) x = static_cast<float>(random() % 17) / 8;  // 16 bits hold it exactly
  const std::vector<std::vector<BFloat16>> before = data;
  GatherRows(args, gathered.data(), nullptr);
  StoreRows(args, values.data(), nullptr);
  std::vector<std::vector<BFloat16>> want = before;
  for (int64_t i = 0; i < count; ++i) {
    const bool names_row = i < starts[2] && rows[i] >= 0;
    const int64_t table = i >= starts[1];
    for (int64_t c = 0; c < dim; ++c) {
      const float old = names_row ? ToFloat(before[table][rows[i] * dim + c]) : 0.0f;
      Check(gathered[i * dim + c] == old, "gathered row", round, i);
      if (names_row) want[table][rows[i] * dim + c] = ToBFloat16(values[i * dim + c]);
    }
  }
  for (int64_t t = 0; t < kTables; ++t) {
    for (int64_t k = 0; k < Batch::kRows * dim; ++k) Check(data[t][k].bits == want[t][k].bits, "stored", round, k);
  }
}

void CheckReset(int64_t dim, int64_t round, std::mt19937_64& random) {
  constexpr int64_t kRows = 9;
  constexpr float kScale = 0.5f;
  std::vector<float> table(kRows * dim, 7), state(kRows * dim, 7);
  std::vector<BFloat16> moments(kRows * 3, BFloat16{1});
  const ResetState states[] = {{state.data(), dim * 4}, {moments.data(), 6}};
  const std::vector<int32_t> slots = {8, 0, 3, -1, -1};
  const std::vector<uint64_t> ids = {random(), random(), random(), ~uint64_t{0}, ~uint64_t{0}};
  const uint32_t seed = static_cast<uint32_t>(round);
  ResetRows({DType::kFloat32, table.data(), kRows, dim, states, 2, slots.data(), ids.data(), 5, &seed, 3, kScale},
            nullptr);
  for (int64_t row = 0; row < kRows; ++row) {
    const int64_t k = std::find(slots.begin(), slots.end(), row) - slots.begin();
    const bool fresh = k < 3;
    for (int64_t c = 0; c < dim; ++c) {
      const float value = InitialValue(RowInitialKey(InitialKey(seed, 3), ids[fresh ? k : 0]), static_cast<uint32_t>(c),
                                       kScale / (1 << 23));
      Check(table[row * dim + c] == (fresh ? value : 7), "fresh row", round, row);
      Check(state[row * dim + c] == (fresh ? 0 : 7), "state of a fresh row", round, row);
    }
    for (int64_t c = 0; c < 3; ++c) Check(moments[row * 3 + c].bits == !fresh, "moments of a fresh row", round, row);
  }
}

void CheckOffsets(int64_t round, std::mt19937_64& random) {
  const int64_t count = 1 + random() % (round % 2 ? 1000 : 100), num_ids = random() % 200;
  std::vector<int32_t> offsets(count);
  for (int64_t i = 0; i < count; ++i) {
    offsets[i] = static_cast<int32_t>(round % 3 ? random() : i / 4 + random() % 9);
  }
  std::vector<unsigned char> scratch(2 * OffsetsScratch::Bytes(count), 0xff);
  RisingOffsets rising(scratch.data(), scratch.size());
  const int32_t* none = rising.Of(offsets.data(), count, 0);
  const int32_t* mended = rising.Of(offsets.data(), count, num_ids);
  Check(rising.fits() && rising.rest_bytes() == 0, "scratch of offsets", round, count);
  rising.Launch(nullptr);
  int32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, offsets[i]);
    Check(none[i] == 0 && mended[i] == std::min<int64_t>(largest, num_ids), "offset", round, i);
  }
}

void CheckFind(int64_t round, std::mt19937_64& random) {
  constexpr int64_t kSlots = 13;
  const ProbeLayout layout(kSlots, 1, 0, 6);
  std::vector<uint64_t> identities(kSlots, kNoId), ids;
  for (uint64_t id = 0; id < 12; ++id) {  // in the nearest free slot, where there is one
    for (int32_t distance = 0; distance < layout.length(); ++distance) {
      uint64_t& slot = identities[layout.SlotAt(layout.WindowOf(id), distance)];
      if (slot != kNoId) continue;
      slot = id;
      break;
    }
  }
  for (int64_t n = random() % 300; n >= 0; --n) ids.push_back(random() % 16 - 1);
  const int64_t count = static_cast<int64_t>(ids.size());
  // Three features of one sample; the second is of another table, and the last positions are of none.
  const int32_t offsets[] = {0, static_cast<int32_t>(count / 3), static_cast<int32_t>(count / 2),
                             static_cast<int32_t>(count - count / 8)};
  const int64_t access[] = {1, -1, 1};
  std::vector<int32_t> rows(count, 99);
  std::vector<int8_t> status(count, 99);
  ZchFind({{identities.data(), kSlots},
           layout,
           OnFull::kMiss,
           {ids.data(), count, offsets, 1, access, 3, nullptr},
           rows.data(),
           status.data()},
          nullptr);
  for (int64_t n = 0; n < count; ++n) {
    const bool asks = (n < offsets[1] || (n >= offsets[2] && n < offsets[3])) && ids[n] != kNoId;
    const auto held = std::find(identities.begin(), identities.end(), ids[n]);
    const bool found = asks && held != identities.end();
    const Outcome outcome = !asks ? Outcome::kNoId : found ? Outcome::kReadHit : Outcome::kReadMiss;
    Check(rows[n] == (found ? held - identities.begin() : -1), "found row", round, n);
    Check(status[n] == static_cast<int8_t>(outcome), "status", round, n);
  }
}

}  // namespace jaxtbe
