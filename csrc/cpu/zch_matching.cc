#include "csrc/cpu/zch_matching.h"

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

// An id that is missing looks at several slots: likely at some of the next line, too.
void SlotMatching::PrefetchHome(Window window) const {
  const int32_t home = layout_.SlotAt(window, 0), next = home + 7;
  Prefetch(slots_.identities + home);
  Prefetch(slots_.identities + next);
  Prefetch(slots_.last_seen + home);
  Prefetch(slots_.last_seen + next);
}

}  // namespace jaxtbe
