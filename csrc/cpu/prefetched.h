// Work on items that lie scattered in memory: each is asked for when it is named, and worked on a group later.
#pragma once

#include "csrc/common/prefetch.h"

namespace jaxtbe {

template <class Item, class Prefetch, class Process>
class Prefetched {
 public:
  Prefetched(Prefetch prefetch, Process process) : prefetch_(prefetch), process_(process) {}

  void Push(Item item) {
    prefetch_(item);
    items_[count_++] = item;
    if (count_ == kGroup) Flush();
  }
  // Call at the end: works on the items of a group that has not filled up.
  void Flush() {
    for (int i = 0; i < count_; ++i) process_(items_[i]);
    count_ = 0;
  }

 private:
  static constexpr int kGroup = 64;  // a miss costs hundreds of nanoseconds, and this many can be under way
  Prefetch prefetch_;
  Process process_;
  Item items_[kGroup];
  int count_ = 0;
};

template <class Item, class Prefetch, class Process>
Prefetched<Item, Prefetch, Process> WithPrefetch(Prefetch prefetch, Process process) {
  return {prefetch, process};
}

}  // namespace jaxtbe
