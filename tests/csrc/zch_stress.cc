// Many threads insert many ids into few slots, and must end where one id after another ends. Built with sanitizers by
// run.sh.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "csrc/cpu/ops.h"
#include "tests/csrc/insert_case.h"
#include "tests/csrc/sequential_insert.h"
#include "tests/csrc/thread_pool.h"

namespace jaxtbe {
namespace {

Result ParallelInsert(const Case& c, State& state, const Pool& pool) {
  return InsertCase(c, state, ZchInsertScratchBytes(static_cast<int64_t>(c.ids.size())),
                    [&](const ZchInsertArgs& args) {
                      ZchInsert(args, pool, /*grain=*/1);  // as many tasks as there can be
                    });
}

// Every id that is in the table is found, in as many tasks as there can be.
bool FindsAll(const Case& c, State& state, const Result& inserted, const Pool& pool) {
  const int64_t n = static_cast<int64_t>(c.ids.size());
  std::vector<int32_t> rows(n);
  std::vector<int8_t> status(n);
  const int32_t offsets[] = {0, static_cast<int32_t>(n)};
  const int64_t access[] = {static_cast<int64_t>(Access::kReadOnly)};
  ZchFind({{state.identities.data(), c.slots},
           ProbeLayout(c.slots, 1, 0, c.max_probe),
           OnFull::kMiss,
           {c.ids.data(), n, offsets, 1, access, 1, nullptr},
           rows.data(),
           status.data()},
          pool);
  return rows == inserted.rows;
}

Case RandomCase(std::mt19937_64& random, int64_t step) {
  Case c = {};
  c.now = static_cast<int32_t>(step);
  const int64_t count = 1 + random() % 600, pool = 1 + random() % 200;
  for (int64_t n = 0; n < count; ++n) {
    const uint64_t id = random() % pool;
    c.ids.push_back(id == 0 ? ~uint64_t{0} : id % 3 == 0 ? 0 - id : id << (id % 50));
    c.scores.push_back(static_cast<int32_t>(step + random() % 5) - 2);
  }
  return c;
}

int Main(int rounds) {
  std::mt19937_64 random(42);
  for (int round = 0; round < rounds; ++round) {
    const int64_t slots = 1 + random() % 60, max_probe = 1 + random() % 70;
    const auto eviction = static_cast<Eviction>(round % 3);
    const auto priority = static_cast<Priority>(round / 3 % 2);
    const TestPool pool(2 + round % 9);
    State want(slots), got(slots);
    for (int64_t step = 0; step < 6; ++step) {
      Case c = RandomCase(random, step);
      c.slots = slots;
      c.max_probe = max_probe;
      c.eviction = eviction;
      c.priority = priority;
      c.admit_after = 1 + round % 4 / 3;
      const Result expected = SequentialInsert(c, want).Run(), result = ParallelInsert(c, got, pool);
      if (!(got == want) || !(result == expected) || !FindsAll(c, got, result, pool)) {
        std::printf("round %d, step %d: the parallel insert differs from the sequential one\n", round, int(step));
        return 1;
      }
    }
  }
  std::printf("%d rounds of 6 batches: every insert as in sequence\n", rounds);
  return 0;
}

}  // namespace
}  // namespace jaxtbe

int main(int argc, char** argv) { return jaxtbe::Main(argc > 1 ? std::atoi(argv[1]) : 120); }
