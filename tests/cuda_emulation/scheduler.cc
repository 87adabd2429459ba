#include "tests/cuda_emulation/scheduler.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda_emulation/fiber.h"

namespace jaxtbe::emulation {

thread_local Thread* current = nullptr;

Config& GetConfig() {
  static Config config;
  return config;
}

namespace {

struct Block;

struct CudaThread : Thread, Fiber {
  Block* owner = nullptr;
  bool done = true, in_barrier = false;
  // The collective that it waits in, if `op` is one.
  Op op = Op::kNone;
  unsigned mask = 0;
  uint64_t value = 0;
  int lane_argument = 0, width = 32;
  Site site = {"", 0};
  int start = 0;  // its address orders what came before the launch
};

struct Warp {
  unsigned arrived = 0, live = 0;  // lanes
  int sync = 0;
};

struct FreeArray {
  void operator()(void* p) const { std::free(p); }
};

struct Block {
  std::vector<CudaThread*> threads;
  std::vector<Warp> warps;
  unsigned live = 0, waiting = 0;
  int sync = 0;
  std::map<const void*, std::unique_ptr<void, FreeArray>> shared;
  size_t shared_bytes = 0;
};

struct Scheduler {
  Fiber main;
  CudaThread* running = nullptr;
  std::vector<CudaThread*> ready, idle;
  size_t head = 0;  // of `ready`
  std::vector<std::unique_ptr<CudaThread>> all;
  const std::function<void()>* kernel = nullptr;
  uint64_t random = 1, ticks = 0;
  std::string error;
};
thread_local Scheduler* scheduler = nullptr;

uint64_t Random() {
  uint64_t& x = scheduler->random;
  x ^= x << 13;
  x ^= x >> 7;
  x ^= x << 17;
  return x >> 16;
}

void MakeReady(CudaThread* thread) { scheduler->ready.push_back(thread); }

CudaThread* TakeReady() {
  auto& ready = scheduler->ready;
  size_t& head = scheduler->head;
  if (head == ready.size()) {
    ready.clear();
    head = 0;
    return nullptr;
  }
  const Schedule schedule = GetConfig().schedule;
  if (schedule == Schedule::kFirstIn) return ready[head++];
  if (schedule == Schedule::kRandom) std::swap(ready[head + Random() % (ready.size() - head)], ready.back());
  CudaThread* thread = ready.back();
  ready.pop_back();
  return thread;
}

void SwitchTo(CudaThread* to) {
  CudaThread* from = scheduler->running;
  if (to == from) return;
  scheduler->running = to;
  current = to;
  (from ? static_cast<Fiber&>(*from) : scheduler->main).SwitchTo(to ? static_cast<Fiber&>(*to) : scheduler->main);
}

// To another thread that can run, or to RunGrid.
void SwitchAway() { SwitchTo(scheduler->error.empty() ? TakeReady() : nullptr); }

std::string Describe(const CudaThread& thread) {
  static const char* const kNames[] = {"barrier", "shuffle", "shuffle_xor", "ballot", "syncwarp"};
  char text[256];
  std::snprintf(text, sizeof text, "block (%u,%u) thread %u (lane %u): %s, mask %08x, at %s:%d", thread.block.x,
                thread.block.y, thread.number, thread.lane, kNames[static_cast<int>(thread.op)], thread.mask,
                thread.site.file, thread.site.line);
  return text;
}

template <class F>
void ForEachLane(const CudaThread& of, unsigned lanes, F f) {
  CudaThread* const* warp = of.owner->threads.data() + of.number / 32 * 32;
  for (; lanes != 0; lanes &= lanes - 1) f(*warp[__builtin_ctz(lanes)]);
}

// What each lane gets. Lanes outside the mask read as garbage.
void Exchange(const CudaThread& any, unsigned lanes) {
  uint64_t in[32];
  for (uint64_t& x : in) x = 0xdeadbeefdeadbeefull;
  unsigned ballot = 0;
  ForEachLane(any, lanes, [&](CudaThread& t) {
    in[t.lane] = t.value;
    if (t.value) ballot |= 1u << t.lane;
  });
  ForEachLane(any, lanes, [&](CudaThread& t) {
    const int lane = static_cast<int>(t.lane), first = lane & ~(t.width - 1);
    if (t.op == Op::kShuffle) t.value = in[first | (t.lane_argument & (t.width - 1))];
    if (t.op == Op::kShuffleXor)
      t.value = in[(lane ^ t.lane_argument) < first + t.width ? lane ^ t.lane_argument : lane];
    if (t.op == Op::kBallot) t.value = ballot;
  });
}

// Ends the collective that `me` waits in if every lane of its mask that still lives waits in the same one.
bool TryComplete(CudaThread& me) {
  Warp& warp = me.owner->warps[me.number / 32];
  const unsigned lanes = me.mask & warp.live;
  if ((warp.arrived & lanes) != lanes) return false;
  bool same = true;
  ForEachLane(me, lanes, [&](const CudaThread& t) { same = same && t.op == me.op && t.mask == me.mask; });
  if (!same) return false;
  Exchange(me, lanes);
  ForEachLane(me, lanes, [&](CudaThread& t) {
    t.op = Op::kNone;
    if (&t != &me) MakeReady(&t);
  });
  warp.arrived &= ~lanes;
  return true;
}

void ReleaseBarrier(Block& block, const CudaThread* me) {
  block.waiting = 0;
  for (CudaThread* thread : block.threads) {
    if (thread == me || !thread->in_barrier) continue;
    thread->in_barrier = false;
    MakeReady(thread);
  }
}

// Others may have waited for this thread only.
void Exit(CudaThread& me) {
  Block& block = *me.owner;
  Warp& warp = block.warps[me.number / 32];
  me.done = true;
  warp.live &= ~(1u << me.lane);
  --block.live;
  bool completed = false;
  ForEachLane(me, warp.arrived & warp.live, [&](CudaThread& t) {
    if (completed || t.op == Op::kNone || !TryComplete(t)) return;
    MakeReady(&t);
    completed = true;
  });
  if (block.live > 0 && block.waiting == block.live) ReleaseBarrier(block, nullptr);
}

void ThreadMain() {
  Fiber::Entered(scheduler->main);
  Quiet::Begin();
  for (;;) {
    CudaThread& me = *scheduler->running;
    Acquire(&me.start);
    try {
      Quiet::End();
      (*scheduler->kernel)();
      Quiet::Begin();
    } catch (const std::exception& e) {
      Quiet::Begin();
      if (scheduler->error.empty()) scheduler->error = std::string(e.what()) + "; " + Describe(me);
    }
    if (scheduler->error.empty()) Exit(me);
    Release(&scheduler->main);
    SwitchAway();
  }
}

CudaThread* TakeIdle() {
  if (scheduler->idle.empty()) {
    scheduler->all.push_back(std::make_unique<CudaThread>());
    scheduler->all.back()->Start(&ThreadMain);
    return scheduler->all.back().get();
  }
  CudaThread* thread = scheduler->idle.back();
  scheduler->idle.pop_back();
  return thread;
}

void Begin(Block& block, dim3 grid, unsigned count, uint64_t number) {
  block.threads.clear();
  block.warps.assign((count + 31) / 32, Warp());
  block.live = count;
  block.waiting = 0;
  block.shared.clear();
  block.shared_bytes = 0;
  for (unsigned i = 0; i < count; ++i) {
    CudaThread* thread = TakeIdle();
    Release(&thread->start);
    static_cast<Thread&>(*thread) = {
        {i, 0, 0},   {static_cast<unsigned>(number % grid.x), static_cast<unsigned>(number / grid.x), 0},
        dim3(count), grid,
        i,           i % 32};
    thread->owner = &block;
    thread->op = Op::kNone;
    thread->done = thread->in_barrier = false;
    block.threads.push_back(thread);
    block.warps[i / 32].live |= 1u << (i % 32);
    MakeReady(thread);
  }
}

std::vector<uint64_t> BlockOrder(uint64_t blocks) {
  std::vector<uint64_t> order(blocks);
  for (uint64_t i = 0; i < blocks; ++i) order[i] = GetConfig().schedule == Schedule::kLastIn ? blocks - 1 - i : i;
  if (GetConfig().schedule == Schedule::kRandom) {
    for (uint64_t i = blocks; i > 1; --i) std::swap(order[i - 1], order[Random() % i]);
  }
  return order;
}

void RunBlocks(dim3 grid, unsigned block_threads) {
  const std::vector<uint64_t> order = BlockOrder(uint64_t{grid.x} * grid.y);
  std::vector<Block> resident(std::min<size_t>(order.size(), std::max(1, GetConfig().resident_blocks)));
  size_t next = 0;
  for (;;) {
    bool active = false;
    for (Block& block : resident) {
      if (block.live == 0) {
        for (CudaThread* thread : block.threads) scheduler->idle.push_back(thread);
        block.threads.clear();
        if (next < order.size()) Begin(block, grid, block_threads, order[next++]);
      }
      active = active || block.live > 0;
    }
    if (!active) return;
    CudaThread* thread = TakeReady();
    if (thread == nullptr) {
      scheduler->error = "deadlock: threads wait in different collectives or barriers, or a lane of a mask never comes";
      int shown = 0;
      for (const Block& block : resident) {
        for (const CudaThread* t : block.threads) {
          if (!t->done && shown++ < 6) scheduler->error += "\n  " + Describe(*t);
        }
      }
      return;
    }
    SwitchTo(thread);
    Acquire(&scheduler->main);
    if (!scheduler->error.empty()) return;
  }
}

[[noreturn]] void Fail(const char* what) { throw Error(what); }

}  // namespace

uint64_t Collective(Op op, unsigned mask, uint64_t value, int lane, int width, Site site) {
  Quiet quiet;
  CudaThread& me = *scheduler->running;
  Warp& warp = me.owner->warps[me.number / 32];
  me.op = op;
  me.mask = mask;
  me.value = value;
  me.lane_argument = lane;
  me.width = width;
  me.site = site;
  if (!(mask >> me.lane & 1)) Fail("a lane takes part in a collective whose mask it is not in");
  if (width <= 0 || width > 32 || (width & (width - 1)) != 0) Fail("the width of a shuffle is no power of two");
  warp.arrived |= 1u << me.lane;
  // Only __syncwarp orders memory: shuffles and votes do not.
  if (op == Op::kSyncWarp) Release(&warp.sync);
  if (!TryComplete(me)) {
    SwitchAway();
  } else if (GetConfig().schedule == Schedule::kRandom) {
    MaybeSwitch();
  }
  if (op == Op::kSyncWarp) Acquire(&warp.sync);
  return me.value;
}

void Barrier(Site site) {
  Quiet quiet;
  CudaThread& me = *scheduler->running;
  Block& block = *me.owner;
  me.site = site;
  me.mask = ~0u;
  ++block.waiting;
  Release(&block.sync);
  if (block.waiting == block.live) {
    ReleaseBarrier(block, &me);
  } else {
    me.in_barrier = true;
    SwitchAway();
  }
  Acquire(&block.sync);
}

void MaybeSwitch() {
  if (scheduler == nullptr || scheduler->running == nullptr) return;  // code that kernels and the host share
  Quiet quiet;
  const uint64_t tick = ++scheduler->ticks;
  if (GetConfig().schedule == Schedule::kRandom ? Random() % 4 != 0 : tick % 256 != 0) return;
  auto& ready = scheduler->ready;
  CudaThread* me = scheduler->running;
  if (GetConfig().schedule == Schedule::kLastIn) {
    ready.insert(ready.begin() + static_cast<std::ptrdiff_t>(scheduler->head), me);
  } else {
    MakeReady(me);
  }
  SwitchAway();
}

void* SharedArray(const void* key, size_t bytes) {
  Quiet quiet;
  Block& block = *scheduler->running->owner;
  auto& array = block.shared[key];
  if (!array) {
    if ((block.shared_bytes += bytes) > (48 << 10)) Fail("more than 48 KB of shared memory");
    void* p = nullptr;
    if (posix_memalign(&p, 128, bytes) != 0) Fail("out of memory");
    std::memset(p, 0xff, bytes);  // NaN, and -1
    array.reset(p);
  }
  return array.get();
}

void RunGrid(dim3 grid, unsigned block_threads, const std::function<void()>& kernel) {
  if (block_threads == 0 || block_threads > 1024 || grid.x > 0x7fffffffu || grid.y > 65535) {
    throw Error("wrong launch configuration");
  }
  Quiet quiet;
  thread_local std::unique_ptr<Scheduler> own = std::make_unique<Scheduler>();
  scheduler = own.get();
  scheduler->kernel = &kernel;
  scheduler->ready.clear();
  scheduler->head = 0;
  scheduler->random = GetConfig().seed * 0x9e3779b97f4a7c15ull | 1;
  scheduler->main.BecomeMain();
  RunBlocks(grid, block_threads);
  if (scheduler->error.empty()) return;
  const std::string error = scheduler->error;
  own = std::make_unique<Scheduler>();  // threads that were left in the middle are never run again
  scheduler = own.get();
  throw Error(error);
}

}  // namespace jaxtbe::emulation
