// Finds the slots of raw ids, of one instruction set.
#pragma once

#include <cstdint>

#include "csrc/common/zch/probe.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {

void LocateIds(const SlotIdentities& slots, const ProbeLayout& layout, const uint64_t* ids, int64_t count,
               int32_t* found);

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
