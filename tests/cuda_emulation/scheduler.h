// The fibers of one kernel, and the order in which they run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <type_traits>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace jaxtbe::emulation {

// A deadlock, a divergence or a wrong launch. The message has block, thread, mask, file and line.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Which of the threads that could run does. Random schedules switch at atomics, too.
enum class Schedule { kFirstIn, kLastIn, kRandom };

struct Config {  // of the process
  Schedule schedule = Schedule::kFirstIn;
  uint64_t seed = 1;
  int resident_blocks = 2;  // blocks that run at the same time
};
Config& GetConfig();

// What device code may ask about the thread that runs it.
struct Thread {
  uint3 thread, block;
  dim3 block_dim, grid_dim;
  unsigned number, lane;  // in the block, in the warp
};
extern thread_local Thread* current;

enum class Op : uint8_t { kNone, kShuffle, kShuffleXor, kBallot, kSyncWarp };

struct Site {
  const char* file;
  int line;
};

uint64_t Collective(Op op, unsigned mask, uint64_t value, int lane, int width, Site site);
void Barrier(Site site);
void MaybeSwitch();
void* SharedArray(const void* key, size_t bytes);
void RunGrid(dim3 grid, unsigned block_threads, const std::function<void()>& kernel);

template <class T>
uint64_t ToBits(T value) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}
template <class T>
T FromBits(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace jaxtbe::emulation
