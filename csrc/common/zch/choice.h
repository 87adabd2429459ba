// The order in which a new id wants the slots of its window.
#pragma once

#include <cstdint>

#include "csrc/common/macros.h"
#include "csrc/common/zch/probe.h"

namespace jaxtbe {

// The table as claims see it. It does not change while claims are made.
struct SlotsView {
  const uint64_t* identities;
  const int32_t* last_seen;
};

// A slot that a new id may take.
struct Choice {
  int32_t distance;
  bool empty;
  int32_t last_seen;  // of an occupied slot, where it matters: with LRU
};
// The starting point: the first slot comes next.
JAXTBE_HD Choice BeforeFirst() { return {-1, true, 0}; }

// A new id, and what it needs to judge slots.
struct Claimant {
  uint64_t id;
  int32_t score;
  Window window;
};

// Slots of a window from which LRU makes its claims in order: up to here, looking at a window again costs little beside
// what many threads gain.
constexpr int32_t kWideWindow = 128;

// Whether ids claim slots one after another. With LRU all of a wide window want the same oldest slots, and deferred
// acceptance would look at a window again for each of them.
inline bool ClaimsInOrder(Eviction policy, const ProbeLayout& layout) {
  return policy == Eviction::kLru && layout.length() > kWideWindow;
}

// Chooses slots. A protected slot is not told apart here: it holds a claim that no id can beat.
class SlotChooser {
 public:
  JAXTBE_HD SlotChooser(SlotsView slots, const ProbeLayout& layout, Eviction policy, int32_t threshold)
      : slots_(slots), layout_(layout), policy_(policy), threshold_(threshold) {}

  // The slot that the claimant wants most after `*choice`, or false: there is none left.
  JAXTBE_HD bool Next(const Claimant& claimant, Choice* choice) const {
    return policy_ == Eviction::kLru ? NextEmptyThenOldest(claimant, choice) : NextNearest(claimant, choice);
  }

  // How much the claimant wants the slot at a distance, with LRU: less is more. Empty ones come by distance, then
  // evictable ones by (last_seen, distance); no other slot has a rank. The distance is in the lower half.
  static constexpr uint64_t kNoRank = ~uint64_t{0};
  JAXTBE_HD uint64_t Rank(const Claimant& claimant, int32_t distance) const {
    const int32_t slot = layout_.SlotAt(claimant.window, distance);
    if (slots_.identities[slot] == kNoId) return static_cast<uint32_t>(distance);
    if (!Evictable(slot, claimant)) return kNoRank;
    const int64_t age = int64_t{slots_.last_seen[slot]} - INT32_MIN + 1;  // under 2^32: it is below the threshold
    return static_cast<uint64_t>(age) << 32 | static_cast<uint32_t>(distance);
  }
  JAXTBE_HD static bool IsEmpty(uint64_t rank) { return rank >> 32 == 0; }

  // The least rank among every step-th distance from `first` on where `is_free(slot)` holds, or kNoRank.
  template <class IsFree>
  JAXTBE_HD uint64_t BestRank(const Claimant& claimant, int64_t first, int64_t step, IsFree is_free) const {
    uint64_t best = kNoRank;
    for (int64_t distance = first; distance < layout_.length(); distance += step) {
      const uint64_t rank = Rank(claimant, static_cast<int32_t>(distance));
      if (rank >= best || !is_free(layout_.SlotAt(claimant.window, static_cast<int32_t>(distance)))) continue;
      best = rank;
      if (IsEmpty(rank)) break;  // those behind it are farther, or not empty
    }
    return best;
  }

  // The slot of a rank, or -1.
  JAXTBE_HD int32_t SlotOfRank(const Claimant& claimant, uint64_t rank) const {
    return rank == kNoRank ? -1 : layout_.SlotAt(claimant.window, static_cast<int32_t>(static_cast<uint32_t>(rank)));
  }

  JAXTBE_HD int32_t SlotOf(const Claimant& claimant, const Choice& choice) const {
    return layout_.SlotAt(claimant.window, choice.distance);
  }

  // The choice that made a claimant ask for `slot`.
  JAXTBE_HD Choice ChoiceOf(const Claimant& claimant, int32_t slot) const {
    const bool orders_by_age = policy_ == Eviction::kLru;
    return {layout_.DistanceTo(claimant.window, slot), slots_.identities[slot] == kNoId,
            orders_by_age ? slots_.last_seen[slot] : 0};
  }

 private:
  JAXTBE_HD bool Evictable(int32_t slot, const Claimant& claimant) const {
    const int32_t last_seen = slots_.last_seen[slot];
    return last_seen < threshold_ && last_seen < claimant.score;
  }

  JAXTBE_HD bool NextNearest(const Claimant& claimant, Choice* choice) const {
    for (int32_t distance = choice->distance + 1; distance < layout_.length(); ++distance) {
      const int32_t slot = layout_.SlotAt(claimant.window, distance);
      const bool empty = slots_.identities[slot] == kNoId;
      if (empty || (policy_ != Eviction::kNone && Evictable(slot, claimant))) {
        *choice = {distance, empty, 0};
        return true;
      }
    }
    return false;
  }

  // Empty slots by distance, then evictable ones by (last_seen, distance).
  JAXTBE_HD bool NextEmptyThenOldest(const Claimant& claimant, Choice* choice) const {
    if (choice->empty) {
      for (int32_t distance = choice->distance + 1; distance < layout_.length(); ++distance) {
        const int32_t slot = layout_.SlotAt(claimant.window, distance);
        if (slots_.identities[slot] == kNoId) {
          *choice = {distance, true, 0};
          return true;
        }
      }
    }
    const Choice after = *choice;
    bool found = false;
    for (int32_t distance = 0; distance < layout_.length(); ++distance) {
      const int32_t slot = layout_.SlotAt(claimant.window, distance);
      if (slots_.identities[slot] == kNoId || !Evictable(slot, claimant)) continue;
      const int32_t last_seen = slots_.last_seen[slot];
      const bool later =
          after.empty || last_seen > after.last_seen || (last_seen == after.last_seen && distance > after.distance);
      if (later && (!found || last_seen < choice->last_seen)) {
        *choice = {distance, false, last_seen};
        found = true;
      }
    }
    return found;
  }

  SlotsView slots_;
  ProbeLayout layout_;
  Eviction policy_;
  int32_t threshold_;
};

}  // namespace jaxtbe
