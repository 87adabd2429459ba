#include "csrc/cuda/occurrences.h"

#include <vector>

#include "csrc/common/occurrence.h"
#include "csrc/cuda/batches.h"
#include "csrc/cuda/warp.h"

namespace jaxtbe {
namespace {

// One writing feature of a lookup, as the kernel needs it.
struct SourceView {
  const float* d_acts;
  int64_t stride;
  int64_t max_length;
  int64_t table_rows;
  int64_t dim;
  int32_t feature;
  uint32_t base;
  Pooling pooling;
};

// A lookup, and its place among the occurrences of all lookups: every position is one, trained or not.
struct LookupView {
  BagsView bags;
  const uint8_t* update_mask;
  int64_t first;
};

// The bag of a position: the last one that begins at or before it.
__device__ __forceinline__ int64_t SampleOf(const int32_t* offsets, int64_t batch, int64_t position) {
  const int64_t after = LowerBound(offsets, batch, static_cast<int32_t>(position + 1));
  return after > 0 ? after - 1 : 0;
}

// The source whose feature a position belongs to, or -1. Sources are in the order of their features.
__device__ __forceinline__ int SourceOf(const Descriptors<SourceView>& sources, const BagsView& bags,
                                        int64_t position) {
  int low = 0, high = sources.count;
  while (low < high) {
    const int middle = (low + high) / 2;
    if (bags.offsets[sources.items[middle].feature * bags.batch] <= position) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low - 1;
}

// Writes the keys and gradients of some sources of one lookup. Offsets that fall would make wrong keys, never foreign
// reads.
//
// Grid: one thread for each position of the lookup.
__global__ void OccurrencesKernel(LookupView lookup, const __grid_constant__ Descriptors<SourceView> sources,
                                  uint32_t* keys, OccurrenceGradient* gradients) {
  const int64_t position = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const BagsView& bags = lookup.bags;
  if (position >= bags.num_ids) return;
  const int s = SourceOf(sources, bags, position);
  if (s < 0) return;
  const SourceView& source = sources.items[s];
  const int32_t* offsets = bags.offsets + source.feature * bags.batch;
  if (position >= offsets[bags.batch]) return;  // of a feature that is no source, or of none
  const int64_t sample = SampleOf(offsets, bags.batch, position);
  const Range bag = bags.Bag(source.feature, sample);
  const int64_t index = position - bag.begin;
  if (!Trains(bags, lookup.update_mask, position, source.table_rows, source.pooling, index, source.max_length)) return;
  const float* d_row = source.d_acts + sample * source.stride;
  if (source.pooling == Pooling::kNone) d_row += index * source.dim;
  float coefficient = BagScale(source.pooling, bags, bag, source.table_rows);
  if (bags.id_weights) coefficient *= bags.id_weights[position];
  keys[lookup.first + position] = source.base + static_cast<uint32_t>(bags.ids[position]);
  gradients[lookup.first + position] = {d_row, coefficient};
}

// The keys of positions that train nothing, and the numbers of all.
//
// Grid: one thread for each occurrence.
__global__ void NumberOccurrencesKernel(uint32_t* keys, uint32_t* occurrences, int64_t count, uint32_t no_key) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  keys[i] = no_key;
  occurrences[i] = static_cast<uint32_t>(i);
}

}  // namespace

SortedOccurrences OccurrenceSorter::Sort(Launcher& launch, const Source* sources, int64_t num_sources,
                                         const SourceTable* tables, int64_t num_tables) const {
  std::vector<KeyedTable> keyed;
  uint64_t num_rows = 0;
  for (int64_t t = 0; t < num_tables; ++t) {
    keyed.push_back({static_cast<uint32_t>(num_rows), tables[t].duplicates, tables[t].rows, tables[t].dim});
    num_rows += static_cast<uint64_t>(tables[t].rows);
  }
  StoreDescriptors(launch, keyed.data(), num_tables, tables_);
  launch.Run("NumberOccurrencesKernel", NumberOccurrencesKernel, capacity_, keys_, occurrences_, capacity_,
             static_cast<uint32_t>(num_rows));
  int64_t first = 0;
  for (int64_t s = 0; s < num_sources;) {
    const LookupView lookup = {sources[s].bags, sources[s].update_mask, first};
    std::vector<SourceView> views;
    const int64_t number = sources[s].lookup;
    for (; s < num_sources && sources[s].lookup == number; ++s) {
      const Source& source = sources[s];
      const KeyedTable& table = keyed[source.table];
      views.push_back({source.d_acts, source.stride, source.max_length, table.rows, table.dim,
                       static_cast<int32_t>(source.feature), table.base, source.pooling});
    }
    ForEachBatch(views.data(), static_cast<int64_t>(views.size()), [&](const Descriptors<SourceView>& batch, int64_t) {
      launch.Run("OccurrencesKernel", OccurrencesKernel, lookup.bags.num_ids, lookup, batch, keys_, gradients_);
    });
    first += lookup.bags.num_ids;
  }
  SortPairs(launch, keys_, occurrences_, capacity_, BitWidth(num_rows), sort_, sort_bytes_, sorted_keys_,
            sorted_occurrences_);
  return {sorted_keys_, sorted_occurrences_,         gradients_, capacity_, static_cast<uint32_t>(num_rows),
          tables_,      static_cast<int>(num_tables)};
}

}  // namespace jaxtbe
