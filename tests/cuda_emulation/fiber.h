// Stacks that take turns on one OS thread, and what the sanitizers want to know about them.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#if defined(JAXTBE_EMULATION_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(JAXTBE_EMULATION_TSAN)
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned);
void __tsan_switch_to_fiber(void*, unsigned);
void __tsan_acquire(void*);
void __tsan_release(void*);
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace jaxtbe::emulation {

extern "C" void jaxtbe_switch_stack(void** save, void* load);

// Saves the registers that a call must keep, on this stack, and takes them from the other.
#if defined(__x86_64__)
asm(R"(
.text
.weak jaxtbe_switch_stack
.hidden jaxtbe_switch_stack
.type jaxtbe_switch_stack,@function
jaxtbe_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size jaxtbe_switch_stack,.-jaxtbe_switch_stack
)");
constexpr int kSavedWords = 6, kReturnWord = 6;
#elif defined(__aarch64__)
asm(R"(
.text
.weak jaxtbe_switch_stack
.hidden jaxtbe_switch_stack
.type jaxtbe_switch_stack,%function
jaxtbe_switch_stack:
  sub sp,sp,#160
  stp x19,x20,[sp]
  stp x21,x22,[sp,#16]
  stp x23,x24,[sp,#32]
  stp x25,x26,[sp,#48]
  stp x27,x28,[sp,#64]
  stp x29,x30,[sp,#80]
  stp d8,d9,[sp,#96]
  stp d10,d11,[sp,#112]
  stp d12,d13,[sp,#128]
  stp d14,d15,[sp,#144]
  mov x9,sp
  str x9,[x0]
  mov sp,x1
  ldp x19,x20,[sp]
  ldp x21,x22,[sp,#16]
  ldp x23,x24,[sp,#32]
  ldp x25,x26,[sp,#48]
  ldp x27,x28,[sp,#64]
  ldp x29,x30,[sp,#80]
  ldp d8,d9,[sp,#96]
  ldp d10,d11,[sp,#112]
  ldp d12,d13,[sp,#128]
  ldp d14,d15,[sp,#144]
  add sp,sp,#160
  ret
.size jaxtbe_switch_stack,.-jaxtbe_switch_stack
)");
constexpr int kSavedWords = 20, kReturnWord = 11;
#else
#error "the emulation switches stacks on x86-64 and AArch64 only"
#endif

// The race detector is to see the kernels, and not the scheduler between them.
class Quiet {
 public:
#if defined(JAXTBE_EMULATION_TSAN)
  Quiet() { Begin(); }
  ~Quiet() { End(); }
  static void Begin() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  static void End() {
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
#else
  Quiet() {}
  static void Begin() {}
  static void End() {}
#endif
};

// What happens before `Acquire(p)` is all that happened before the `Release(p)`s that came first.
inline void Acquire([[maybe_unused]] void* p) {
#if defined(JAXTBE_EMULATION_TSAN)
  __tsan_acquire(p);
#endif
}
inline void Release([[maybe_unused]] void* p) {
#if defined(JAXTBE_EMULATION_TSAN)
  __tsan_release(p);
#endif
}

class Fiber {
 public:
  // The OS thread's own stack.
  Fiber() = default;
  Fiber(const Fiber&) = delete;
  ~Fiber() {
    if (stack_) munmap(stack_, kStackBytes);
  }

  // A new stack on which `entry` begins when it is switched to. It must never return.
  void Start(void (*entry)()) {
    void* memory =
        mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stack_ = static_cast<char*>(memory);
    void** top = reinterpret_cast<void**>(stack_ + kStackBytes - 64) - kSavedWords - 2;
    std::memset(top, 0, (kSavedWords + 2) * sizeof(void*));
    top[kReturnWord] = reinterpret_cast<void*>(entry);
    stack_pointer_ = top;
#if defined(JAXTBE_EMULATION_TSAN)
    tsan_ = __tsan_create_fiber(0);
#endif
  }

  void BecomeMain() {
#if defined(JAXTBE_EMULATION_TSAN)
    tsan_ = __tsan_get_current_fiber();
#endif
  }

  void SwitchTo(Fiber& to) {
#if defined(JAXTBE_EMULATION_ASAN)
    __sanitizer_start_switch_fiber(&fake_stack_, to.stack_ ? to.stack_ : to.main_bottom_,
                                   to.stack_ ? kStackBytes : to.main_size_);
#endif
#if defined(JAXTBE_EMULATION_TSAN)
    __tsan_switch_to_fiber(to.tsan_, /*no happens-before*/ 1);
#endif
    jaxtbe_switch_stack(&stack_pointer_, to.stack_pointer_);
#if defined(JAXTBE_EMULATION_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
#endif
  }

  // First thing on a new stack: remembers where the main one lies.
  static void Entered([[maybe_unused]] Fiber& main) {
#if defined(JAXTBE_EMULATION_ASAN)
    const void* bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
    if (!main.main_bottom_) main.main_bottom_ = bottom, main.main_size_ = size;
#endif
  }

 private:
  static constexpr size_t kStackBytes = 256 << 10;
  char* stack_ = nullptr;
  void* stack_pointer_ = nullptr;
#if defined(JAXTBE_EMULATION_ASAN)
  void* fake_stack_ = nullptr;
  const void* main_bottom_ = nullptr;
  size_t main_size_ = 0;
#endif
#if defined(JAXTBE_EMULATION_TSAN)
  void* tsan_ = nullptr;
#endif
};

}  // namespace jaxtbe::emulation
