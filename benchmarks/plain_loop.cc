// The plain loops that kernels are measured against: what a C++ programmer writes in an afternoon for one machine, with
// prefetching and a radix sort, but without ragged bags, faults, weights, other types, or any choice at run time.
// Compiled with -O3 -march=native -fopenmp by implementations/plain_loop.py.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

constexpr int kAhead = 16;

void PrefetchRow(const float* row, int64_t dim) {
  for (int64_t i = 0; i < dim; i += 16) __builtin_prefetch(row + i);
}

struct Occurrence {
  uint32_t row;
  uint32_t bag;
};

// Stable, 11 bits a pass, only as many passes as `rows` needs.
void SortByRow(std::vector<Occurrence>& items, int64_t rows) {
  std::vector<Occurrence> other(items.size());
  for (int shift = 0; shift == 0 || (rows - 1) >> shift; shift += 11) {
    std::vector<int64_t> starts(2049, 0);
    for (const Occurrence& item : items) ++starts[((item.row >> shift) & 2047) + 1];
    for (int i = 0; i < 2048; ++i) starts[i + 1] += starts[i];
    for (const Occurrence& item : items) other[starts[(item.row >> shift) & 2047]++] = item;
    items.swap(other);
  }
}

}  // namespace

extern "C" {

// acts[b] = sum of the rows of bag b.
void PlainForward(const float* table, const int32_t* ids, float* acts, int64_t batch, int64_t hotness, int64_t dim) {
  const int64_t count = batch * hotness;
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < batch; ++b) {
    float* out = acts + b * dim;
    std::fill(out, out + dim, 0.0f);
    for (int64_t n = b * hotness; n < (b + 1) * hotness; ++n) {
      if (n + kAhead < count) PrefetchRow(table + int64_t{ids[n + kAhead]} * dim, dim);
      const float* row = table + int64_t{ids[n]} * dim;
      for (int64_t i = 0; i < dim; ++i) out[i] += row[i];
    }
  }
}

// Row-wise Adagrad on the touched rows, each by one thread.
void PlainRowwiseAdagrad(float* table, float* state, const int32_t* ids, const float* d_acts, int64_t batch,
                         int64_t hotness, int64_t dim, int64_t rows, float learning_rate, float eps) {
  const int64_t count = batch * hotness;
  std::vector<Occurrence> items(count);
  for (int64_t n = 0; n < count; ++n) items[n] = {static_cast<uint32_t>(ids[n]), static_cast<uint32_t>(n / hotness)};
  SortByRow(items, rows);
  std::vector<int64_t> starts;
  for (int64_t n = 0; n < count; ++n) {
    if (n == 0 || items[n].row != items[n - 1].row) starts.push_back(n);
  }
  const int64_t runs = starts.size();
  starts.push_back(count);
#pragma omp parallel
  {
    std::vector<float> gradient(dim);
#pragma omp for schedule(static)
    for (int64_t r = 0; r < runs; ++r) {
      if (r + kAhead < runs) {
        const Occurrence& next = items[starts[r + kAhead]];
        PrefetchRow(table + int64_t{next.row} * dim, dim);
        PrefetchRow(d_acts + int64_t{next.bag} * dim, dim);
        __builtin_prefetch(state + next.row);
      }
      std::fill(gradient.begin(), gradient.end(), 0.0f);
      for (int64_t n = starts[r]; n < starts[r + 1]; ++n) {
        const float* d = d_acts + int64_t{items[n].bag} * dim;
        for (int64_t i = 0; i < dim; ++i) gradient[i] += d[i];
      }
      float square = 0.0f;
#pragma omp simd reduction(+ : square)
      for (int64_t i = 0; i < dim; ++i) square += gradient[i] * gradient[i];
      float& s = state[items[starts[r]].row];
      s += square / static_cast<float>(dim);
      const float rate = learning_rate / (std::sqrt(s) + eps);
      float* row = table + int64_t{items[starts[r]].row} * dim;
      for (int64_t i = 0; i < dim; ++i) row[i] -= rate * gradient[i];
    }
  }
}

}  // extern "C"
