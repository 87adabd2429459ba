#include "csrc/cpu/ops.h"
#include "csrc/cpu/zch_locate.h"

namespace jaxtbe {

void ZchFind(const ZchFindArgs& args, const Pool& pool) {
  constexpr int64_t kGrain = 2048;
  const std::vector<ZchTask> tasks = SplitPositions(args.batch, kGrain);
  ForEachGap(tasks, args.batch.num_ids, [&](Range gap) {
    std::fill(args.rows + gap.begin, args.rows + gap.end, -1);
    std::fill(args.status + gap.begin, args.status + gap.end, static_cast<int8_t>(Outcome::kNoId));
  });
  ParallelFor(pool, static_cast<int64_t>(tasks.size()), [&](int64_t i) {
    const auto visit = [&](int64_t n, int32_t slot, uint64_t id) {
      Outcome outcome = Outcome::kReadHit;
      if (slot < 0) {
        outcome = id == kNoId ? Outcome::kNoId : Outcome::kReadMiss;
        if (id != kNoId) slot = args.layout.FallbackRow(args.on_full, id);
      }
      args.rows[n] = slot;
      args.status[n] = static_cast<int8_t>(outcome);
    };
    LocateRange(args.slots, args.layout, args.batch.ids, tasks[i].positions, [](int32_t) {}, visit);
  });
}

}  // namespace jaxtbe
