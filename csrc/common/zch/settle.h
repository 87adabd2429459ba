// One step of deferred acceptance: an id asks for a slot, and whoever is left without asks for its next.
#pragma once

#include "csrc/common/zch/choice.h"
#include "csrc/common/zch/claims.h"
#include "csrc/common/zch/misses.h"

namespace jaxtbe {

// A missing id, and a slot that it asks for or has won.
struct SlotRequest {
  uint32_t index;
  int32_t slot;
};

JAXTBE_HD Claimant ClaimantOf(const MissingIds& missing, const ProbeLayout& layout, uint32_t index) {
  return {missing[index].id, missing[index].score, layout.WindowOf(missing[index].id)};
}

// Claims a slot for an id, then one for the id that it displaced, and so on. False if the last of them found none.
// Every turn moves one id forward in its preferences and none ever moves back, so the turns of all threads together
// are fewer than the slots of all windows.
JAXTBE_HD bool Settle(const SlotChooser& chooser, const ProbeLayout& layout, const MissingIds& missing,
                      const SlotClaims& claims, SlotRequest request) {
  for (;;) {
    const uint32_t left = claims.Offer(request.slot, request.index);
    if (left == SlotClaims::kNobody) return true;
    const Claimant claimant = ClaimantOf(missing, layout, left);
    Choice choice = chooser.ChoiceOf(claimant, request.slot);
    if (!chooser.Next(claimant, &choice)) return false;
    request = {left, chooser.SlotOf(claimant, choice)};
  }
}

}  // namespace jaxtbe
