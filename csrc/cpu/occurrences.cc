#include "csrc/cpu/occurrences.h"

#include <algorithm>
#include <vector>

#include "csrc/common/occurrence.h"

namespace jaxtbe {
namespace {

// The positions of a source's ids, and the number of its first occurrence.
struct Span {
  Range positions;
  int64_t first;
};

// Spans of one lookup never overlap, whatever its offsets hold, so the occurrences never outnumber the ids.
std::vector<Span> Spans(const Source* sources, int64_t num_sources) {
  std::vector<Span> spans(num_sources);
  int64_t total = 0, end = 0;
  for (int64_t s = 0; s < num_sources; ++s) {
    const BagsView& bags = sources[s].bags;
    if (s > 0 && sources[s].lookup != sources[s - 1].lookup) end = 0;
    const int32_t* offsets = bags.offsets + sources[s].feature * bags.batch;
    const int64_t begin = std::clamp<int64_t>(offsets[0], end, bags.num_ids);
    end = std::clamp<int64_t>(offsets[bags.batch], begin, bags.num_ids);
    spans[s] = {{begin, end}, total};
    total += end - begin;
  }
  return spans;
}

struct Output {
  uint64_t* entries;
  const float** d_rows;
  float* coefficients;  // null: not wanted
};

// Writes the occurrences of the positions `range` of one source.
void WriteOccurrences(const Source& source, const SourceTable& table, uint64_t base, uint64_t no_key, const Span& span,
                      Range range, const Output& out) {
  const BagsView& bags = source.bags;
  const int32_t* offsets = bags.offsets + source.feature * bags.batch;
  // The bag of the first position: the last one that begins at or before it.
  int64_t sample = std::upper_bound(offsets, offsets + bags.batch, range.begin) - offsets - 1;
  sample = std::clamp<int64_t>(sample, 0, bags.batch - 1);
  int64_t position = range.begin;
  while (position < range.end) {
    const Range bag = bags.Bag(source.feature, sample);
    const bool last = sample == bags.batch - 1;
    const int64_t stop = last ? range.end : std::clamp<int64_t>(bag.end, position, range.end);
    const float* d_row = source.d_acts + sample * source.stride;
    const float scale = stop > position ? BagScale(source.pooling, bags, bag, table.rows) : 1.0f;
    for (; position < stop; ++position) {
      const int64_t i = span.first + position - span.positions.begin;
      const uint32_t row = static_cast<uint32_t>(bags.ids[position]);
      const int64_t index = position - bag.begin;
      const bool trains =
          Trains(bags, source.update_mask, position, table.rows, source.pooling, index, source.max_length);
      const float* gradient = d_row;
      if (source.pooling == Pooling::kNone) gradient = trains ? d_row + index * table.dim : nullptr;
      out.entries[i] = (trains ? base + row : no_key) << 32 | static_cast<uint64_t>(i);
      out.d_rows[i] = gradient;
      if (out.coefficients) out.coefficients[i] = bags.id_weights ? scale * bags.id_weights[position] : scale;
    }
    if (last) break;
    ++sample;
  }
}

int BitWidth(uint64_t x) {
  int bits = 0;
  for (; x != 0; x >>= 1) ++bits;
  return bits;
}

}  // namespace

OccurrenceSorter::OccurrenceSorter(int64_t capacity, Arena& arena)
    : entries_(arena.Take<uint64_t>(capacity)),
      d_rows_(arena.Take<const float*>(capacity)),
      coefficients_(arena.Take<float>(capacity)),
      sort_(capacity, arena) {}

SortedOccurrences OccurrenceSorter::Sort(const Source* sources, int64_t num_sources, const SourceTable* tables,
                                         const int64_t* bases, int64_t num_tables, const Pool& pool) const {
  const std::vector<Span> spans = Spans(sources, num_sources);
  const uint64_t num_rows = static_cast<uint64_t>(bases[num_tables]);
  bool weighted = false;
  std::vector<std::pair<int64_t, Range>> tasks;  // source and positions
  int64_t count = 0;
  for (int64_t s = 0; s < num_sources; ++s) {
    weighted |= sources[s].bags.id_weights != nullptr || sources[s].pooling == Pooling::kMean;
    const Range positions = spans[s].positions;
    const int64_t n = positions.end - positions.begin, parts = NumParts(n, 2048, 16);
    for (int64_t p = 0; p < parts; ++p) {
      const Range part = Part(n, parts, p);
      tasks.push_back({s, {positions.begin + part.begin, positions.begin + part.end}});
    }
    count += n;
  }
  const Output out = {entries_, d_rows_, weighted ? coefficients_ : nullptr};
  ParallelFor(pool, static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const auto& [s, range] = tasks[i];
    const Source& source = sources[s];
    WriteOccurrences(source, tables[source.table], bases[source.table], num_rows, spans[s], range, out);
  });
  const uint64_t* sorted = sort_.Run(entries_, count, BitWidth(num_rows), pool);
  return {sorted, count, static_cast<int64_t>(num_rows), d_rows_, out.coefficients};
}

}  // namespace jaxtbe
