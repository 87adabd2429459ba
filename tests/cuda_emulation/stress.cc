// The emulated CUDA operations by themselves, for sanitizers: small cases under every schedule, each against a few
// lines of sequential code, and all schedules against each other, bit for bit. Usage: stress [rounds]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <utility>
#include <vector>

#include "csrc/common/half.h"
#include "csrc/common/zch/choice.h"
#include "csrc/cuda/ops.h"
#include "tests/csrc/insert_case.h"
#include "tests/csrc/sequential_insert.h"
#include "tests/cuda_emulation/scheduler.h"
#include "tests/cuda_emulation/stress.h"

namespace jaxtbe {
namespace {

int failures = 0;
bool quiet = false;

}  // namespace

void Check(bool ok, const char* what, int64_t round, int64_t number) {
  if (ok) return;
  ++failures;
  if (quiet) return;
  std::printf("round %d, %s %d: wrong\n", int(round), what, int(number));
}

namespace {

std::vector<float> CheckLookup(const Batch& batch, int64_t round) {
  const LookupTable table = {batch.table.data(), Batch::kRows, batch.dim};
  std::vector<LookupFeature> features;
  for (int64_t f = 0; f < Batch::kFeatures; ++f) {
    features.push_back({0, static_cast<Pooling>(f), batch.Column(f), Batch::kMaxLength, true});
  }
  std::vector<float> acts(Batch::kSamples * batch.stride, NAN), d_weights(batch.ids.size(), NAN);
  std::vector<int32_t> faults(2 * Batch::kFeatures);
  const LookupArgs args = {DType::kFloat32, &table,      features.data(), Batch::kFeatures,
                           batch.View(),    acts.data(), batch.stride,    faults.data()};
  Lookup(args, nullptr);
  IdWeightsGrad({args, batch.d_acts.data(), d_weights.data()}, nullptr);

  std::vector<double> want(acts.size()), want_d_weights(batch.ids.size());
  batch.ForEach([&](int64_t p, int64_t row, int64_t sample, int64_t column, double coefficient) {
    for (int64_t c = 0; c < batch.dim; ++c) {
      const double w = batch.table[row * batch.dim + c];
      want[sample * batch.stride + column + c] += coefficient * w;
      if (batch.weights[p] != 0) {
        want_d_weights[p] += coefficient / batch.weights[p] * w * batch.d_acts[sample * batch.stride + column + c];
      }
    }
  });
  for (size_t i = 0; i < acts.size(); ++i) Check(Near(acts[i], want[i]), "activation", round, int64_t(i));
  for (size_t p = 0; p < batch.ids.size(); ++p) {
    if (batch.weights[p] != 0) Check(Near(d_weights[p], want_d_weights[p]), "id weight", round, int64_t(p));
  }
  int32_t count = 0;
  for (int32_t id : batch.ids) count += id >= Batch::kRows;
  Check(faults[0] + faults[2] + faults[4] == count, "count of faults", round, count);
  const std::vector<int64_t> rows(Batch::kFeatures, Batch::kRows);
  std::vector<int32_t> counted(faults.size());
  CountFaults(batch.View(), rows.data(), Batch::kFeatures, counted.data(), nullptr);
  Check(counted == faults, "faults", round, count);
  return acts;
}

std::vector<float> CheckUpdate(const Batch& batch, int64_t round) {
  constexpr float kRate = 0.5f, kEps = 0.125f;
  const float hyper[] = {kRate, 0, 0, INFINITY, INFINITY, 0, kEps};
  const uint32_t noise[] = {1, 2, 0};
  std::vector<float> table = batch.table, state(Batch::kRows, 0.25f);
  std::vector<Source> sources;
  for (int64_t f = 0; f < Batch::kFeatures; ++f) {
    sources.push_back({0, batch.View(), f, nullptr, batch.d_acts.data() + batch.Column(f), batch.stride, 0,
                       static_cast<Pooling>(f), Batch::kMaxLength});
  }
  const SourceTable shape = {Batch::kRows, batch.dim, Duplicates::kSum};
  UpdateTable updated = {};
  updated.data = table.data();
  updated.row_states[0] = state.data();
  updated.hyper = hyper;
  const int64_t capacity = static_cast<int64_t>(batch.ids.size());
  std::vector<unsigned char> scratch(UpdateScratchBytes(capacity, batch.dim, 1), 0xff);
  Update({DType::kFloat32, Rule::kRowwiseAdagrad, &updated, &shape, 1, sources.data(), Batch::kFeatures, capacity,
          noise, scratch.data()},
         nullptr);

  std::vector<double> gradient(table.size());
  batch.ForEach([&](int64_t, int64_t row, int64_t sample, int64_t column, double coefficient) {
    for (int64_t c = 0; c < batch.dim; ++c) {
      gradient[row * batch.dim + c] += coefficient * batch.d_acts[sample * batch.stride + column + c];
    }
  });
  for (int64_t row = 0; row < Batch::kRows; ++row) {
    const double* g = gradient.data() + row * batch.dim;
    double square = 0;
    for (int64_t c = 0; c < batch.dim; ++c) square += g[c] * g[c] / double(batch.dim);
    for (int64_t c = 0; c < batch.dim; ++c) {
      const int64_t i = row * batch.dim + c;
      Check(Near(table[i], batch.table[i] - kRate * g[c] / (std::sqrt(0.25 + square) + kEps)), "weight", round, i);
    }
  }
  return table;
}

// With a window over kWideWindow, LRU claims in order.
void CheckInsert(std::mt19937_64& random, int64_t round, int64_t slots, int64_t window) {
  State want(slots), got(slots);
  for (int32_t step = 0; step < 3; ++step) {
    Case c = {slots, window, static_cast<Eviction>(round % 3), static_cast<Priority>(round / 3 % 2), 1, {}, {}, step};
    for (int64_t n = 1 + random() % (6 * slots); n > 0; --n) {
      c.ids.push_back(random() % (2 * slots + 1) - 1);
      c.scores.push_back(step + static_cast<int32_t>(random() % 3) - 1);
    }
    const Result expected = SequentialInsert(c, want).Run();
    const Result result = InsertCase(c, got, ZchInsertScratchBytes(static_cast<int64_t>(c.ids.size())),
                                     [](const ZchInsertArgs& args) { ZchInsert(args, nullptr); });
    Check(got == want && result == expected, "insert", round, step);
  }
}

// Ids and offsets that mean nothing: results do, too, but no access may leave a buffer.
void RunBroken(Batch batch, std::mt19937_64& random) {
  for (int32_t& id : batch.ids) id = static_cast<int32_t>(random());
  for (int32_t& offset : batch.offsets) offset = static_cast<int32_t>(random() % 2 ? random() : random() % 20);
  const int before = failures;
  const bool was_quiet = std::exchange(quiet, true);
  CheckLookup(batch, 0);
  CheckUpdate(batch, 0);
  CheckRowGradients(batch, 0);
  quiet = was_quiet;
  failures = before;
}

int Main(int rounds) {
  using emulation::Schedule;
  // Narrow and wide words, rows in registers and in memory, and rows whose contributions cross chunks.
  const int64_t dims[] = {1, 4, 16, 36, 130, 516};
  for (int round = 0; round < rounds; ++round) {
    std::vector<float> first_acts, first_table;
    for (const Schedule schedule : {Schedule::kFirstIn, Schedule::kLastIn, Schedule::kRandom}) {
      emulation::GetConfig() = {schedule, uint64_t(round + 1), 1 + round % 3};
      std::mt19937_64 random(round + 1);
      const Batch batch(dims[round % 6], round / 6 % 2 == 1 ? 60 : 5, random);
      const std::vector<float> acts = CheckLookup(batch, round), table = CheckUpdate(batch, round);
      if (schedule == Schedule::kFirstIn) first_acts = acts, first_table = table;
      Check(acts == first_acts && table == first_table, "schedule", round, int(schedule));
      CheckRowGradients(batch, round);
      CheckRows(batch, round, random);
      CheckReset(batch.dim, round, random);
      CheckOffsets(round, random);
      CheckFind(round, random);
      CheckInsert(random, round, 7, 5);
      CheckInsert(random, round, kWideWindow + 2, kWideWindow + 1);
      if (batch.ids.size() > 0) RunBroken(batch, random);
    }
  }
  if (failures == 0) std::printf("%d rounds under 3 schedules: all as in sequence\n", rounds);
  return failures != 0;
}

}  // namespace
}  // namespace jaxtbe

int main(int argc, char** argv) { return jaxtbe::Main(argc > 1 ? std::atoi(argv[1]) : 12); }
