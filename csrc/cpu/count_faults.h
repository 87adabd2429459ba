// Ids past the end of their table, counted without a lookup.
#pragma once

#include "csrc/cpu/lookup.h"

namespace jaxtbe {

// rows[f]: of the table of feature f. faults [num_features, 2]: count and first id, as Lookup gives them.
void CountFaults(const BagsView& bags, const int64_t* rows, int64_t num_features, int32_t* faults, const Pool& pool);

}  // namespace jaxtbe
