#include "csrc/cpu/zch_matching.h"

#include <algorithm>
#include <vector>

#include "csrc/cpu/prefetched.h"

namespace jaxtbe {
namespace {

struct NewClaimant {
  uint32_t index;
  Claimant claimant;
};

}  // namespace

// Two stages, each a group of ids behind its prefetches: choose the first slot, then claim it.
MatchingCounts SlotMatching::Run(Range entries) const {
  MatchingCounts counts;
  auto settle = WithPrefetch<SlotRequest>(
      [&](SlotRequest first) { claims_.PrefetchClaim(first.slot); },
      [&](SlotRequest first) { counts.failures += !Settle(chooser_, layout_, missing_, claims_, first); });
  auto choose = WithPrefetch<NewClaimant>([&](const NewClaimant& item) { PrefetchHome(item.claimant.window); },
                                          [&](const NewClaimant& item) {
                                            Choice choice = BeforeFirst();
                                            if (chooser_.Next(item.claimant, &choice)) {
                                              settle.Push({item.index, chooser_.SlotOf(item.claimant, choice)});
                                            } else {
                                              ++counts.failures;
                                            }
                                          });
  for (int64_t i = entries.begin; i < entries.end; ++i) {
    const uint32_t index = static_cast<uint32_t>(i);
    if (missing_[index].id == kNoId) continue;
    if (missing_[index].count >= admit_after_) {
      choose.Push({index, ClaimantOf(missing_, layout_, index)});
    } else {
      ++counts.unadmitted;
    }
  }
  choose.Flush();
  settle.Flush();
  return counts;
}

MatchingCounts SlotMatching::RunInOrder() const {
  MatchingCounts counts;
  std::vector<uint32_t> order;
  for (int64_t i = 0; i < missing_.capacity(); ++i) {
    const uint32_t index = static_cast<uint32_t>(i);
    if (missing_[index].id == kNoId) continue;
    if (missing_[index].count >= admit_after_) {
      order.push_back(index);
    } else {
      ++counts.unadmitted;
    }
  }
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return claims_.Precedes(a, b); });
  for (const uint32_t index : order) {
    const Claimant claimant = ClaimantOf(missing_, layout_, index);
    const uint64_t rank = chooser_.BestRank(claimant, 0, 1, [&](int32_t s) { return claims_.IsFree(s); });
    const int32_t slot = chooser_.SlotOfRank(claimant, rank);
    if (slot < 0) {
      ++counts.failures;
    } else {
      claims_.Offer(slot, index);
    }
  }
  return counts;
}

// An id that is missing looks at several slots: likely at some of the next line, too.
void SlotMatching::PrefetchHome(Window window) const {
  const int32_t home = layout_.SlotAt(window, 0), next = home + 7;
  Prefetch(slots_.identities + home);
  Prefetch(slots_.identities + next);
  Prefetch(slots_.last_seen + home);
  Prefetch(slots_.last_seen + next);
}

}  // namespace jaxtbe
