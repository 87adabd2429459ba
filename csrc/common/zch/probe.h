// Where an id may live: its bucket, its home slot, and the window of slots after it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "csrc/common/macros.h"
#include "csrc/common/modulo.h"
#include "csrc/common/zch/hash.h"
#include "csrc/common/zch/modes.h"

namespace jaxtbe {

// The identity of an empty slot, and the id that means "no id": -1.
constexpr uint64_t kNoId = ~uint64_t{0};

// The ids that a table's slots hold.
struct SlotIdentities {
  const uint64_t* ids;
  int64_t count;
};

// The slots of one id, in probe order: base + (home + d) mod block, for distance d from 0.
struct Window {
  int32_t base;
  int32_t home;  // relative to the base
};

// A table is `buckets` equal runs of slots, and each run a block that ids hash into, followed by `reserved` rows that
// hold no ids. Probing never leaves a block.
class ProbeLayout {
 public:
  ProbeLayout(int64_t slots, int64_t buckets, int64_t reserved, int64_t max_probe)
      : bucket_(buckets),
        block_(slots / buckets - reserved),
        reserved_(std::max<int64_t>(reserved, 1)),
        bucket_slots_(static_cast<int32_t>(slots / buckets)),
        length_(static_cast<int32_t>(std::min<int64_t>(max_probe, slots / buckets - reserved))) {}

  JAXTBE_HD Window WindowOf(uint64_t id) const {
    // Most tables have one bucket: the branch is never mispredicted and saves a multiplication.
    const int32_t bucket = bucket_.divisor() == 1 ? 0 : static_cast<int32_t>(bucket_(id));
    return {bucket * bucket_slots_, static_cast<int32_t>(block_(ZchHash(id)))};
  }

  JAXTBE_HD int32_t SlotAt(Window window, int32_t distance) const {
    const uint32_t place = static_cast<uint32_t>(window.home) + static_cast<uint32_t>(distance);  // under 2^32
    return window.base + static_cast<int32_t>(place >= block() ? place - block() : place);
  }

  // The inverse of SlotAt.
  JAXTBE_HD int32_t DistanceTo(Window window, int32_t slot) const {
    const int32_t place = slot - window.base;
    return place >= window.home ? place - window.home : place - window.home + static_cast<int32_t>(block());
  }

  // The row of an id that has no slot, or -1.
  JAXTBE_HD int32_t FallbackRow(OnFull on_full, uint64_t id) const {
    if (on_full == OnFull::kMiss) return -1;
    const Window window = WindowOf(id);
    if (on_full == OnFull::kShare) return window.base + window.home;
    return window.base + static_cast<int32_t>(block() + reserved_(ZchHash(id)));
  }

  // How many slots a window has, and how many a block.
  JAXTBE_HD int32_t length() const { return length_; }
  JAXTBE_HD uint32_t block() const { return static_cast<uint32_t>(block_.divisor()); }

 private:
  Modulo bucket_, block_, reserved_;
  int32_t bucket_slots_, length_;
};

// The slot that holds the id, or -1.
//
// It is enough to look up to the first empty slot. An id is only ever put where every slot between its home and its own
// is taken: with every policy the nearest empty slot of the window comes before anything farther, and a nearer slot is
// passed over only if another id of the batch gets it. And a slot that was taken stays taken: eviction replaces an
// identity by another. (Tables that come from elsewhere are checked for this when they are imported.)
JAXTBE_HD int32_t Locate(const uint64_t* identities, const ProbeLayout& layout, Window window, uint64_t id) {
  for (int32_t distance = 0; distance < layout.length(); ++distance) {
    const int32_t slot = layout.SlotAt(window, distance);
    if (identities[slot] == id) return slot;
    if (identities[slot] == kNoId) return -1;
  }
  return -1;
}

}  // namespace jaxtbe
