// The insert of one batch, one id after another: what the parallel one is compared with. It shares only the hash with
// it.
#pragma once

#include <algorithm>
#include <climits>
#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "csrc/common/zch/hash.h"
#include "csrc/common/zch/modes.h"

namespace jaxtbe {

struct Case {
  int64_t slots;
  int64_t max_probe;
  Eviction eviction;
  Priority priority;
  int64_t admit_after;
  std::vector<uint64_t> ids;  // of one read-write feature
  std::vector<int32_t> scores;
  int32_t now;
};

struct State {
  std::vector<uint64_t> identities;
  std::vector<int32_t> last_seen, counts;
  int32_t occupancy = 0;

  explicit State(int64_t slots) : identities(slots, ~uint64_t{0}), last_seen(slots, -1), counts(slots, 0) {}
  bool operator==(const State& other) const {
    return identities == other.identities && last_seen == other.last_seen && counts == other.counts &&
           occupancy == other.occupancy;
  }
};

struct Result {
  std::vector<int32_t> rows, evicted;
  bool operator==(const Result& other) const { return rows == other.rows && evicted == other.evicted; }
};

class SequentialInsert {
 public:
  SequentialInsert(const Case& c, State& state) : case_(c), state_(state) {}

  Result Run() {
    struct Collected {
      int32_t score = INT_MIN, count = 0;
      int64_t first;
    };
    std::map<int64_t, Collected> collected;  // by the id as a signed number
    for (size_t n = 0; n < case_.ids.size(); ++n) {
      if (case_.ids[n] == ~uint64_t{0}) continue;
      Collected& id =
          collected.try_emplace(static_cast<int64_t>(case_.ids[n]), Collected{INT_MIN, 0, int64_t(n)}).first->second;
      id.score = std::max(id.score, case_.scores[n]);
      ++id.count;
    }
    std::map<int64_t, int64_t> misses;  // precedence to id
    for (const auto& [id, seen] : collected) {
      const int64_t slot = Find(id);
      if (slot < 0) {
        misses[case_.priority == Priority::kId ? id : seen.first] = id;
        continue;
      }
      state_.last_seen[slot] = std::max(state_.last_seen[slot], seen.score);
      state_.counts[slot] += seen.count;
      protected_.insert(slot);
    }
    Result result;
    for (const auto& [_, id] : misses) {
      const Collected& seen = collected[id];
      const int64_t slot = seen.count < case_.admit_after ? -1 : Choose(id, seen.score);
      if (slot < 0) continue;
      if (state_.identities[slot] == ~uint64_t{0}) {
        ++state_.occupancy;
      } else {
        result.evicted.push_back(static_cast<int32_t>(slot));
      }
      state_.identities[slot] = static_cast<uint64_t>(id);
      state_.last_seen[slot] = seen.score;
      state_.counts[slot] = seen.count;
      protected_.insert(slot);
    }
    std::sort(result.evicted.begin(), result.evicted.end());
    result.evicted.resize(case_.ids.size(), -1);
    for (const uint64_t id : case_.ids) {
      result.rows.push_back(id == ~uint64_t{0} ? -1 : static_cast<int32_t>(Find(static_cast<int64_t>(id))));
    }
    return result;
  }

 private:
  std::vector<int64_t> Window(int64_t id) const {
    std::vector<int64_t> slots;
    const uint64_t home = ZchHash(static_cast<uint64_t>(id)) % case_.slots;
    for (int64_t d = 0; d < std::min(case_.max_probe, case_.slots); ++d) slots.push_back((home + d) % case_.slots);
    return slots;
  }
  int64_t Find(int64_t id) const {
    for (const int64_t slot : Window(id)) {
      if (state_.identities[slot] == static_cast<uint64_t>(id)) return slot;
    }
    return -1;
  }
  int64_t Choose(int64_t id, int32_t score) const {
    int64_t oldest = -1;
    for (const int64_t slot : Window(id)) {
      const bool empty = state_.identities[slot] == ~uint64_t{0};
      const bool evictable = case_.eviction != Eviction::kNone && !empty && !protected_.count(slot) &&
                             state_.last_seen[slot] < std::min(case_.now, score);
      if (empty || (evictable && case_.eviction == Eviction::kTtl)) return slot;
      if (evictable && (oldest < 0 || state_.last_seen[slot] < state_.last_seen[oldest])) oldest = slot;
    }
    return oldest;
  }

  const Case& case_;
  State& state_;
  std::set<int64_t> protected_;
};

}  // namespace jaxtbe
