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
  auto settle = WithPrefetch<SlotRequest>([&](SlotRequest first) { claims_.PrefetchClaim(first.slot); },
                                          [&](SlotRequest first) { counts.failures += !Settle(first); });
  auto choose = WithPrefetch<NewClaimant>([&](const NewClaimant& item) { PrefetchHome(item.claimant.window); },
                                          [&](const NewClaimant& item) {
                                            Choice choice = kBeforeFirst;
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
      choose.Push({index, ClaimantOf(index)});
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

Claimant SlotMatching::ClaimantOf(uint32_t index) const {
  return {missing_[index].id, missing_[index].score, layout_.WindowOf(missing_[index].id)};
}

// Claims a slot for an id, then one for the id that it displaced, and so on. False if the last of them found none.
// Every turn moves one id forward in its preferences and none ever moves back, so the turns of all threads together are
// fewer than the slots of all windows.
bool SlotMatching::Settle(SlotRequest request) const {
  for (;;) {
    const uint32_t left = claims_.Offer(request.slot, request.index);
    if (left == SlotClaims::kNobody) return true;
    const Claimant claimant = ClaimantOf(left);
    Choice choice = chooser_.ChoiceOf(claimant, request.slot);
    if (!chooser_.Next(claimant, &choice)) return false;
    request = {left, chooser_.SlotOf(claimant, choice)};
  }
}

}  // namespace jaxtbe
