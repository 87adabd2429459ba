// Lookups and updates of random batches, half of them with broken ids and offsets: no access outside a buffer, no race,
// and the same bits from one thread and from many. Every buffer has its exact size, so that a sanitizer sees each step
// too far.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "csrc/cpu/ops.h"
#include "tests/csrc/thread_pool.h"

namespace jaxtbe {
namespace {

using Random = std::mt19937_64;
int64_t Between(Random& random, int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(random);
}
std::vector<float> Floats(Random& random, int64_t n) {
  std::vector<float> values(n);
  for (float& v : values) v = std::uniform_real_distribution<float>(-1, 1)(random);
  return values;
}

// One table of two features, the second of which writes too.
struct Case {
  int64_t rows, dim, batch, num_ids, max_length;
  Pooling pooling;
  Duplicates duplicates;
  std::vector<int32_t> ids, offsets;
  std::vector<float> weights, table, state, hyper, d_acts;
  std::vector<uint8_t> mask;
  bool weighted, masked;

  int64_t width() const { return pooling == Pooling::kNone ? max_length * dim : dim; }
  BagsView bags() const { return {ids.data(), num_ids, offsets.data(), weighted ? weights.data() : nullptr, batch}; }
};

Case RandomCase(Random& random, bool broken) {
  Case c;
  c.rows = Between(random, 1, 300);
  c.dim = Between(random, 1, 70);
  c.batch = Between(random, 1, 90);
  c.num_ids = Between(random, 1, 3000);
  c.max_length = Between(random, 1, 4);
  c.pooling = static_cast<Pooling>(Between(random, 0, 2));
  c.duplicates = static_cast<Duplicates>(Between(random, 0, 2));
  c.weighted = Between(random, 0, 1);
  c.masked = Between(random, 0, 1);
  for (int64_t i = 0; i < c.num_ids; ++i) {
    c.ids.push_back(static_cast<int32_t>(broken ? static_cast<int32_t>(random()) : Between(random, -1, c.rows)));
    c.mask.push_back(static_cast<uint8_t>(Between(random, 0, 1)));
  }
  c.offsets.push_back(0);
  for (int64_t i = 0; i < 2 * c.batch; ++i) {
    const int64_t step = Between(random, 0, c.num_ids / c.batch / 2);
    c.offsets.push_back(broken ? static_cast<int32_t>(random())
                               : static_cast<int32_t>(std::min(c.num_ids, c.offsets.back() + step)));
  }
  c.weights = Floats(random, c.num_ids);
  c.table = Floats(random, c.rows * c.dim);
  c.state.assign(c.rows, 0.5f);
  c.hyper = {0.1f, 0.01f, 0.01f, 0.5f, 2.0f, 0.0f, 1e-8f};
  c.d_acts = Floats(random, c.batch * 2 * c.width());
  return c;
}

struct Result {
  std::vector<float> acts, table, state, d_weights, norms;
  std::vector<int32_t> faults;
  bool operator==(const Result& other) const {
    const auto same = [](const std::vector<float>& a, const std::vector<float>& b) {
      return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
    };
    return same(acts, other.acts) && same(table, other.table) && same(state, other.state) &&
           same(d_weights, other.d_weights) && same(norms, other.norms) && faults == other.faults;
  }
};

Result Run(const Case& c, const Pool& pool) {
  Result r;
  r.acts.resize(c.batch * 2 * c.width());
  r.faults.resize(4);
  r.d_weights.resize(c.num_ids);
  r.norms.resize(1);
  r.table = c.table;
  r.state = c.state;
  const LookupTable table = {r.table.data(), c.rows, c.dim};
  const LookupFeature features[] = {{0, c.pooling, 0, c.max_length, true},
                                    {0, c.pooling, c.width(), c.max_length, true}};
  const LookupArgs lookup = {DType::kFloat32, &table,        features,      2,
                             c.bags(),        r.acts.data(), 2 * c.width(), r.faults.data()};
  Lookup(lookup, pool);
  IdWeightsGrad({lookup, c.d_acts.data(), r.d_weights.data()}, pool);

  const SourceTable shape = {c.rows, c.dim, c.duplicates};
  std::vector<Source> sources;
  for (int64_t f = 0; f < 2; ++f) {
    sources.push_back({0, c.bags(), f, c.masked ? c.mask.data() : nullptr, c.d_acts.data() + f * c.width(),
                       2 * c.width(), 0, c.pooling, c.max_length});
  }
  std::vector<char> scratch(RowGradientsScratchBytes(c.num_ids, c.dim, 1));
  SquareNorms({&shape, 1, sources.data(), 2, c.num_ids, scratch.data()}, r.norms.data(), pool);

  UpdateTable update = {};
  update.data = r.table.data();
  update.row_states[0] = r.state.data();
  update.hyper = c.hyper.data();
  scratch.assign(UpdateScratchBytes(c.num_ids, c.dim, 1), 0);
  const uint32_t noise[] = {0, 0, 0};
  Update(
      {DType::kFloat32, Rule::kRowwiseAdagrad, &update, &shape, 1, sources.data(), 2, c.num_ids, noise, scratch.data()},
      pool);
  return r;
}

}  // namespace
}  // namespace jaxtbe

int main(int argc, char** argv) {
  using namespace jaxtbe;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 100;
  Random random(1);
  for (int round = 0; round < rounds; ++round) {
    const Case c = RandomCase(random, round % 2 == 1);
    if (!(Run(c, SerialPool()) == Run(c, TestPool(4)))) {
      std::printf("round %d: four threads gave other bits than one\n", round);
      return 1;
    }
  }
  std::printf("embedding_stress: %d rounds passed\n", rounds);
  return 0;
}
