// The occurrences of rows in a batch, in (lookup, feature, sample, position) order, and sorted by (table, row).
#pragma once

#include <cstdint>

#include "csrc/common/arena.h"
#include "csrc/common/source.h"
#include "csrc/cpu/parallel.h"
#include "csrc/cpu/radix_sort.h"

namespace jaxtbe {

// Entry i of `sorted`: key (table base + row) in the upper half, occurrence in the lower. Occurrences that train
// nothing have the key `num_rows` and so stand last.
struct SortedOccurrences {
  const uint64_t* sorted;
  int64_t count;
  int64_t num_rows;            // of all tables together
  const float* const* d_rows;  // [occurrence]: the gradient of the row it read
  const float* coefficients;   // [occurrence], or null: all 1

  uint32_t Key(int64_t i) const { return static_cast<uint32_t>(sorted[i] >> 32); }
  uint32_t Occurrence(int64_t i) const { return static_cast<uint32_t>(sorted[i]); }
};

// Every touched row of some tables: what the tasks of a backward share.
struct TouchedRows {
  const SourceTable* tables;
  const int64_t* bases;  // [num_tables + 1]: where each table's keys begin
  int64_t num_tables;
  SortedOccurrences occurrences;
};

class OccurrenceSorter {
 public:
  // For at most `capacity` occurrences: the ids of all lookups together.
  OccurrenceSorter(int64_t capacity, Arena& arena);

  // The tables have fewer than 2^32 rows together.
  SortedOccurrences Sort(const Source* sources, int64_t num_sources, const SourceTable* tables, const int64_t* bases,
                         int64_t num_tables, const Pool& pool) const;

 private:
  uint64_t* entries_;
  const float** d_rows_;
  float* coefficients_;
  RadixSort sort_;
};

}  // namespace jaxtbe
