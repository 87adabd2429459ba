// The gradients of a batch's occurrences of rows, sorted by (table, row).
#pragma once

#include "csrc/common/arena.h"
#include "csrc/common/source.h"
#include "csrc/cuda/launch.h"
#include "csrc/cuda/sort.h"

namespace jaxtbe {

// What one occurrence adds to the gradient of its row: coefficient * row.
struct OccurrenceGradient {
  const float* row;
  float coefficient;
};

// One table as the backward sees it: its rows have the keys [base, base + rows).
struct KeyedTable {
  uint32_t base;
  Duplicates duplicates;
  int64_t rows;
  int64_t dim;
};

// Position i of the sorted occurrences has the key keys[i] and adds gradients[occurrences[i]]. Occurrences that
// train nothing have the key `num_rows` and stand last.
struct SortedOccurrences {
  const uint32_t* keys;
  const uint32_t* occurrences;
  const OccurrenceGradient* gradients;
  int64_t count;
  uint32_t num_rows;  // of all tables together
  const KeyedTable* tables;
  int num_tables;
};

// Scratch of one sort, for `capacity` occurrences.
class OccurrenceSorter {
 public:
  OccurrenceSorter(int64_t capacity, int64_t num_tables, Arena& arena)
      : capacity_(capacity),
        tables_(arena.Take<KeyedTable>(num_tables)),
        gradients_(arena.Take<OccurrenceGradient>(capacity)),
        keys_(arena.Take<uint32_t>(capacity)),
        occurrences_(arena.Take<uint32_t>(capacity)),
        sorted_keys_(arena.Take<uint32_t>(capacity)),
        sorted_occurrences_(arena.Take<uint32_t>(capacity)),
        sort_bytes_(SortScratchBytes(capacity)),
        sort_(arena.Take<unsigned char>(static_cast<int64_t>(sort_bytes_))) {}

  // The tables have fewer than 2^32 rows together.
  SortedOccurrences Sort(Launcher& launch, const Source* sources, int64_t num_sources, const SourceTable* tables,
                         int64_t num_tables) const;

 private:
  int64_t capacity_;
  KeyedTable* tables_;
  OccurrenceGradient* gradients_;
  uint32_t *keys_, *occurrences_, *sorted_keys_, *sorted_occurrences_;
  size_t sort_bytes_;
  unsigned char* sort_;
};

}  // namespace jaxtbe
