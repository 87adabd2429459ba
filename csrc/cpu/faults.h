// Ids at or past the end of their table, counted by one task.
#pragma once

#include <cstdint>

namespace jaxtbe {

// How many, and the first in (sample, position) order.
struct Faults {
  int32_t count = 0;
  int32_t first = -1;

  void Add(int32_t id) {
    if (count++ == 0) first = id;
  }
  void Append(const Faults& later) {
    if (count == 0) first = later.first;
    count += later.count;
  }
};

}  // namespace jaxtbe
