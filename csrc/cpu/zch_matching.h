// Gives slots to the missing ids of a batch by deferred acceptance.
//
// Every id asks for the slots of its window in its own order of preference, a slot keeps the claimant with precedence,
// and whoever is displaced asks for its next slot. Both preferences are strict and fixed before the batch, so there is
// one outcome, whoever asks first: that of claims made one by one in order of precedence.
#pragma once

#include <cstdint>

#include "csrc/common/zch/settle.h"
#include "csrc/cpu/parallel.h"

namespace jaxtbe {

struct MatchingCounts {
  int32_t failures = 0;    // ids that no slot is left for
  int32_t unadmitted = 0;  // ids that occur too rarely
};

class SlotMatching {
 public:
  SlotMatching(SlotsView slots, const SlotChooser& chooser, const ProbeLayout& layout, const MissingIds& missing,
               const SlotClaims& claims, int64_t admit_after)
      : slots_(slots),
        chooser_(chooser),
        layout_(layout),
        missing_(missing),
        claims_(claims),
        admit_after_(admit_after) {}

  // Makes the claims of the missing ids among some entries. Threads may run parts at once; when all have run, the
  // claims are final. The counts are right in sum: a failing chain may leave an id of another part without a slot.
  MatchingCounts Run(Range entries) const;

  // The same outcome for all entries, one claim after another in order of precedence: nobody is ever displaced, and
  // every id looks at its window once. For LRU with wide windows, where all ids want the same oldest slots, and
  // deferred acceptance would look at a window again for each of them.
  MatchingCounts RunInOrder() const;

 private:
  void PrefetchHome(Window window) const;

  SlotsView slots_;
  SlotChooser chooser_;
  ProbeLayout layout_;
  MissingIds missing_;
  SlotClaims claims_;
  int64_t admit_after_;
};

}  // namespace jaxtbe
