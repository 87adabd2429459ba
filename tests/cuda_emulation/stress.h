// What the checks of the emulated CUDA operations share.
#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "csrc/common/bags.h"
#include "csrc/common/modes.h"

namespace jaxtbe {

// Counts a failure and prints what is wrong, unless `ok`.
void Check(bool ok, const char* what, int64_t round, int64_t number);

inline bool Near(double got, double want) { return std::abs(got - want) <= 1e-4 * (1 + std::abs(want)); }

// One table read by three features, of each pooling.
struct Batch {
  static constexpr int64_t kRows = 6, kSamples = 5, kMaxLength = 3, kFeatures = 3;
  int64_t dim, stride;
  std::vector<int32_t> ids, offsets = {0};
  std::vector<float> weights, table, d_acts;

  Batch(int64_t columns, int64_t longest, std::mt19937_64& random)
      : dim(columns), stride((2 + kMaxLength) * columns), table(kRows * dim), d_acts(kSamples * stride) {
    for (int64_t bag = 0; bag < kFeatures * kSamples; ++bag) {
      for (int64_t left = random() % (longest + 1); left > 0; --left) {
        ids.push_back(static_cast<int32_t>(random() % (kRows + 2)) - 1);
        weights.push_back(static_cast<float>(random() % 9) / 4 - 1);
      }
      offsets.push_back(static_cast<int32_t>(ids.size()));
    }
    for (float& x : table) x = static_cast<float>(random() % 17) / 8 - 1;
    for (float& x : d_acts) x = static_cast<float>(random() % 17) / 8 - 1;
  }

  BagsView View() const {
    return {ids.data(), static_cast<int64_t>(ids.size()), offsets.data(), weights.data(), kSamples};
  }
  int64_t Column(int64_t feature) const { return feature * dim; }

  // f(position, row, sample, feature, column of the output, coefficient) for the ids that name a row and show.
  template <class F>
  void ForEach(F f) const {
    for (int64_t feature = 0; feature < kFeatures; ++feature) {
      for (int64_t sample = 0; sample < kSamples; ++sample) {
        const Range bag = View().Bag(feature, sample);
        int64_t valid = 0;
        for (int64_t p = bag.begin; p < bag.end; ++p) valid += ids[p] >= 0 && ids[p] < kRows;
        for (int64_t p = bag.begin; p < bag.end; ++p) {
          const int64_t index = p - bag.begin;
          if (ids[p] < 0 || ids[p] >= kRows || (feature == 2 && index >= kMaxLength)) continue;
          const double coefficient = weights[p] / (feature == 1 ? double(valid) : 1.0);
          f(p, ids[p], sample, Column(feature) + (feature == 2 ? index * dim : 0), coefficient);
        }
      }
    }
  }
};

// Each runs operations on a batch and compares with sequential code; see stress_rows.cc.
void CheckRowGradients(const Batch& batch, int64_t round);
void CheckRows(const Batch& batch, int64_t round, std::mt19937_64& random);
void CheckReset(int64_t dim, int64_t round, std::mt19937_64& random);
void CheckOffsets(int64_t round, std::mt19937_64& random);
void CheckFind(int64_t round, std::mt19937_64& random);

}  // namespace jaxtbe
