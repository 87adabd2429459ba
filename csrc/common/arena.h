// Carves typed arrays out of one scratch buffer. With a null buffer it only counts, so that one function gives both the
// size and the layout.
#pragma once

#include <cstddef>
#include <cstdint>

namespace jaxtbe {

class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<unsigned char*>(base)) {}

  template <class T>
  T* Take(int64_t count) {
    const size_t start = used_;
    used_ += (static_cast<size_t>(count) * sizeof(T) + kAlign - 1) / kAlign * kAlign;
    return base_ ? reinterpret_cast<T*>(base_ + start) : nullptr;
  }
  size_t used() const { return used_; }

 private:
  static constexpr size_t kAlign = 64;
  unsigned char* base_;
  size_t used_ = 0;
};

}  // namespace jaxtbe
