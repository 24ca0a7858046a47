#include "host/coro.h"

#include <sys/mman.h>

namespace host {
namespace {

constexpr size_t kPage = 16384;                  // a multiple of every host's page size in use
#if defined(__linux__)
constexpr uintptr_t kStackBase = 0x3FE00000;     // looks like the chip's internal RAM in a panic text
#else
constexpr uintptr_t kStackBase = 0x33FE00000;    // the lowest 4 GB cannot be mapped on macOS
#endif
uintptr_t next_stack = kStackBase;

}  // namespace

void* map_at(uintptr_t wanted, size_t bytes, bool accessible) {
    int protection = accessible ? PROT_READ | PROT_WRITE : PROT_NONE;
    int flags = MAP_PRIVATE | MAP_ANON;
#if defined(MAP_FIXED_NOREPLACE)
    if (wanted != 0) flags |= MAP_FIXED_NOREPLACE;
#endif
    void* at = mmap(reinterpret_cast<void*>(wanted), bytes, protection, flags, -1, 0);
    if (at == MAP_FAILED) at = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANON, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

bool stack_map(Stack* stack, size_t bytes) {
    size_t mapped = (bytes + kPage - 1) / kPage * kPage;
    auto* base = static_cast<uint8_t*>(map_at(next_stack, kPage + mapped, false));
    if (base == nullptr) return false;
    if (mprotect(base + kPage, mapped, PROT_READ | PROT_WRITE) != 0) return false;
    next_stack += 2 * kPage + mapped;
    stack->low = base + kPage;
    stack->bytes = bytes / 16 * 16;     // what rounding added stays unused: the guard comes where it was asked for
    return true;
}

bool stack_guards(const Stack& stack, const void* address) {
    auto* at = static_cast<const uint8_t*>(address);
    return at >= stack.low - kPage && at < stack.low;
}

#if defined(__x86_64__) || defined(__aarch64__)

// Pushes the registers a callee must keep, exchanges stack pointers, pops them again. The floating-point control
// words are the same in every task, so they are left alone.
extern "C" void k1_coro_swap(void** from_sp, void* to_sp) __asm__("k1_coro_swap");

#if defined(__x86_64__)

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl k1_coro_swap\n"
    "k1_coro_swap:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n");

void coro_make(Coro* coro, const Stack& stack, void (*entry)()) {
    auto** top = reinterpret_cast<void**>(stack.high());
    *--top = nullptr;                                  // return address of entry: aligned as after a call
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    coro->sp = top;
}

constexpr int kFrameWord = 5;   // rbp
constexpr int kPcWord = 6;
constexpr int kWords = 7;

#else

__asm__(
    ".text\n"
    ".p2align 4\n"
    ".globl k1_coro_swap\n"
    "k1_coro_swap:\n"
    "  sub sp, sp, #160\n"
    "  stp x19, x20, [sp, #0]\n"
    "  stp x21, x22, [sp, #16]\n"
    "  stp x23, x24, [sp, #32]\n"
    "  stp x25, x26, [sp, #48]\n"
    "  stp x27, x28, [sp, #64]\n"
    "  stp x29, x30, [sp, #80]\n"
    "  stp d8, d9, [sp, #96]\n"
    "  stp d10, d11, [sp, #112]\n"
    "  stp d12, d13, [sp, #128]\n"
    "  stp d14, d15, [sp, #144]\n"
    "  mov x9, sp\n"
    "  str x9, [x0]\n"
    "  mov sp, x1\n"
    "  ldp x19, x20, [sp, #0]\n"
    "  ldp x21, x22, [sp, #16]\n"
    "  ldp x23, x24, [sp, #32]\n"
    "  ldp x25, x26, [sp, #48]\n"
    "  ldp x27, x28, [sp, #64]\n"
    "  ldp x29, x30, [sp, #80]\n"
    "  ldp d8, d9, [sp, #96]\n"
    "  ldp d10, d11, [sp, #112]\n"
    "  ldp d12, d13, [sp, #128]\n"
    "  ldp d14, d15, [sp, #144]\n"
    "  add sp, sp, #160\n"
    "  ret\n");

void coro_make(Coro* coro, const Stack& stack, void (*entry)()) {
    auto** top = reinterpret_cast<void**>(stack.high()) - 20;   // 160 bytes, as k1_coro_swap pops them
    for (int i = 0; i < 20; ++i) top[i] = nullptr;
    top[11] = reinterpret_cast<void*>(entry);                   // x30
    coro->sp = top;
}

constexpr int kFrameWord = 10;  // x29
constexpr int kPcWord = 11;     // x30
constexpr int kWords = 20;

#endif

void coro_where(const Coro& coro, uintptr_t* pc, uintptr_t* sp, uintptr_t* frame) {
    auto* words = static_cast<const uintptr_t*>(coro.sp);
    *pc = words[kPcWord];
    *sp = reinterpret_cast<uintptr_t>(words + kWords);
    *frame = words[kFrameWord];
}

void coro_switch(Coro* from, Coro* to) { k1_coro_swap(&from->sp, to->sp); }

#else

void coro_make(Coro* coro, const Stack& stack, void (*entry)()) {
    getcontext(&coro->context);
    coro->context.uc_stack.ss_sp = stack.low;
    coro->context.uc_stack.ss_size = stack.bytes;
    coro->context.uc_link = nullptr;
    makecontext(&coro->context, entry, 0);
}

void coro_where(const Coro&, uintptr_t* pc, uintptr_t* sp, uintptr_t* frame) { *pc = *sp = *frame = 0; }

void coro_switch(Coro* from, Coro* to) { swapcontext(&from->context, &to->context); }

#endif

}  // namespace host
