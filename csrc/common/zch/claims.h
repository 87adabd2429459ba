// Who holds which slot while a batch's new ids compete: a hash table in scratch, keyed by slot, so that it costs what
// the batch needs and nothing of the table's size.
#pragma once

#include <cstdint>

#include "csrc/common/prefetch.h"
#include "csrc/common/rounding.h"
#include "csrc/common/zch/misses.h"

namespace jaxtbe {

class SlotClaims {
 public:
  // Claimants are indices into the missing ids; these two are sentinels.
  static constexpr uint32_t kNobody = ~uint32_t{0};
  static constexpr uint32_t kProtected = kNobody - 1;

  // How many entries `slots` claimed or protected slots need: half stay free.
  JAXTBE_HD static int64_t Capacity(int64_t slots) { return 2 * slots / kRun * kRun + kRun; }

  JAXTBE_HD SlotClaims(uint64_t* entries, int64_t capacity, const MissingIds& misses, Priority priority)
      : entries_(entries), capacity_(capacity), misses_(misses), priority_(priority) {}

  JAXTBE_HD void Clear(int64_t begin, int64_t end) const {
    for (int64_t i = begin; i < end; ++i) entries_[i] = kFree;
  }

  JAXTBE_HD void PrefetchClaim(int32_t slot) const { PrefetchForWrite(entries_ + Start(slot)); }

  // No id can take the slot in this batch.
  JAXTBE_HD void Protect(int32_t slot) const { Offer(slot, kProtected); }

  // Gives the slot to the claimant if nobody with precedence holds it. Returns who is left without: the claimant
  // itself, the one it displaced, or nobody.
  JAXTBE_HD uint32_t Offer(int32_t slot, uint32_t claimant) const {
    const uint64_t claim = static_cast<uint64_t>(slot) << 32 | claimant;
    for (int64_t i = Start(slot);; i = i + 1 == capacity_ ? 0 : i + 1) {
      uint64_t held = AtomicLoad(entries_ + i);
      if (held == kFree && AtomicReplace(entries_ + i, &held, claim)) return kNobody;
      if (SlotOf(held) != slot) continue;
      // A slot only ever goes to better claimants, so this loop ends after at most as many turns as the slot has
      // suitors.
      while (Precedes(claimant, ClaimantOf(held))) {
        if (AtomicReplace(entries_ + i, &held, claim)) return ClaimantOf(held);
      }
      return claimant;
    }
  }

  // Whether nobody holds the slot, protected ones included.
  JAXTBE_HD bool IsFree(int32_t slot) const {
    for (int64_t i = Start(slot);; i = i + 1 == capacity_ ? 0 : i + 1) {
      const uint64_t held = AtomicLoad(entries_ + i);
      if (held == kFree) return true;
      if (SlotOf(held) == slot) return false;
    }
  }

  // Calls f(slot, claimant) for the final claims among the entries of a range.
  template <class F>
  JAXTBE_HD void ForEachWinner(int64_t begin, int64_t end, F f) const {
    for (int64_t i = begin; i < end; ++i) {
      const uint64_t held = entries_[i];
      if (held != kFree && ClaimantOf(held) != kProtected) f(SlotOf(held), ClaimantOf(held));
    }
  }

  JAXTBE_HD int64_t capacity() const { return capacity_; }

 private:
  static constexpr uint64_t kFree = ~uint64_t{0};
  JAXTBE_HD static int32_t SlotOf(uint64_t entry) { return static_cast<int32_t>(entry >> 32); }
  JAXTBE_HD static uint32_t ClaimantOf(uint64_t entry) { return static_cast<uint32_t>(entry); }

  // Slots side by side have entries side by side, in one cache line: a claimant goes from slot to slot.
  static constexpr int64_t kRun = 8;
  JAXTBE_HD int64_t Start(int32_t slot) const {
    const uint64_t run = Mix32(static_cast<uint32_t>(slot / kRun));
    return static_cast<int64_t>(run * static_cast<uint64_t>(capacity_ / kRun) >> 32) * kRun + slot % kRun;
  }

  // A strict order over the claimants: ids, and first positions, are distinct.
  friend class SlotMatching;
  JAXTBE_HD bool Precedes(uint32_t a, uint32_t b) const {
    if (b == kProtected) return false;
    if (a == kProtected) return true;
    if (priority_ == Priority::kFirst) return misses_[a].first < misses_[b].first;
    return static_cast<int64_t>(misses_[a].id) < static_cast<int64_t>(misses_[b].id);
  }

  uint64_t* entries_;
  int64_t capacity_;
  MissingIds misses_;
  Priority priority_;
};

}  // namespace jaxtbe
