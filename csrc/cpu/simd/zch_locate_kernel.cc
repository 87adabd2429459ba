#include "csrc/cpu/simd/zch_locate_kernel.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#include "csrc/common/macros.h"
#include "csrc/cpu/simd/kernels.h"

namespace jaxtbe {
namespace JAXTBE_SIMD {
namespace {

constexpr int64_t kLine = 8;  // identities in a cache line

// Which of the eight slots of a line hold the id, and which are empty, as bits.
struct Match {
  uint32_t id, empty;
};

JAXTBE_HD Match MatchLine(const uint64_t* line, uint64_t id) {
#if defined(__AVX512F__)
  const __m512i held = _mm512_loadu_si512(line);
  return {_mm512_cmpeq_epi64_mask(held, _mm512_set1_epi64(static_cast<int64_t>(id))),
          _mm512_cmpeq_epi64_mask(held, _mm512_set1_epi64(-1))};
#elif defined(__AVX2__)
  Match match = {0, 0};
  for (int half = 0; half < 2; ++half) {
    const __m256i held = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line) + half);
    const __m256i same = _mm256_cmpeq_epi64(held, _mm256_set1_epi64x(static_cast<int64_t>(id)));
    const __m256i empty = _mm256_cmpeq_epi64(held, _mm256_set1_epi64x(-1));
    match.id |= static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(same))) << (4 * half);
    match.empty |= static_cast<uint32_t>(_mm256_movemask_pd(_mm256_castsi256_pd(empty))) << (4 * half);
  }
  return match;
#else
  Match match = {0, 0};
  for (int lane = 0; lane < kLine; ++lane) {
    match.id |= static_cast<uint32_t>(line[lane] == id) << lane;
    match.empty |= static_cast<uint32_t>(line[lane] == kNoId) << lane;
  }
  return match;
#endif
}

// Looks for the id in the slots [begin, end) that lie in the line of `begin`. Returns whether the search is over:
// `*found` is the slot, or -1 if an empty one comes first (see Locate).
JAXTBE_HD bool SearchLine(const SlotIdentities& slots, int64_t begin, int64_t end, uint64_t id, int32_t* found) {
  const int64_t line = begin & ~(kLine - 1);
  *found = -1;
  if (line + kLine > slots.count) {  // the last slots, where a whole line would reach past the end
    for (int64_t slot = begin; slot < end; ++slot) {
      if (slots.ids[slot] == id) return *found = static_cast<int32_t>(slot), true;
      if (slots.ids[slot] == kNoId) return true;
    }
    return false;
  }
  const Match match = MatchLine(slots.ids + line, id);
  const uint32_t last = end - line >= kLine ? 0xff : (1u << (end - line)) - 1;
  const uint32_t lanes = last & (0xffu << (begin - line));
  const uint32_t stops = (match.id | match.empty) & lanes;
  const uint32_t first = stops & (0 - stops);
  // No branch: whether the home slot's line has the id is anybody's guess, and a wrong one costs more than the rest.
  *found = (first & match.id) ? static_cast<int32_t>(line + __builtin_ctz(first)) : -1;
  return stops != 0;
}

// The slots of a window are one run, or two where it wraps around.
struct Runs {
  int64_t begin, end;            // from the home slot
  int64_t wrapped, wrapped_end;  // from the beginning of the block
};

JAXTBE_HD Runs RunsOf(const ProbeLayout& layout, Window window) {
  const int64_t end = int64_t{window.home} + layout.length(), block = layout.block();
  return {window.base + window.home, window.base + (end < block ? end : block), window.base,
          window.base + (end > block ? end - block : 0)};
}

JAXTBE_HD int64_t NextLine(int64_t slot) { return (slot & ~(kLine - 1)) + kLine; }

// The whole window but its first line.
int32_t SearchRest(const SlotIdentities& slots, const Runs& runs, uint64_t id) {
  int32_t found = -1;
  for (int64_t slot = NextLine(runs.begin); slot < runs.end; slot = NextLine(slot)) {
    if (SearchLine(slots, slot, runs.end, id, &found)) return found;
  }
  for (int64_t slot = runs.wrapped; slot < runs.wrapped_end; slot = NextLine(slot)) {
    if (SearchLine(slots, slot, runs.wrapped_end, id, &found)) return found;
  }
  return -1;
}

}  // namespace

// Three passes over a group of ids, each without a branch that depends on what is in memory: ask for the lines of their
// home slots, look into those lines, and only then, for the few ids that need it, look farther.
void LocateIds(const SlotIdentities& slots, const ProbeLayout& layout, const uint64_t* ids, int64_t count,
               int32_t* found) {
  Runs runs[kLocateGroup];
  int64_t unfinished[kLocateGroup], num_unfinished = 0;
  for (int64_t k = 0; k < count; ++k) {
    runs[k] = RunsOf(layout, layout.WindowOf(ids[k]));
    __builtin_prefetch(slots.ids + runs[k].begin);
  }
  for (int64_t k = 0; k < count; ++k) {
    const bool over = SearchLine(slots, runs[k].begin, runs[k].end, ids[k], found + k);
    unfinished[num_unfinished] = k;
    num_unfinished += !over;
  }
  for (int64_t u = 0; u < num_unfinished; ++u) {
    const int64_t k = unfinished[u];
    found[k] = SearchRest(slots, runs[k], ids[k]);
  }
}

}  // namespace JAXTBE_SIMD
}  // namespace jaxtbe
