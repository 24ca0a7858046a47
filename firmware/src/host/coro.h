// Tasks as coroutines of one thread, each on its own stack with an unmapped page below it.
#pragma once
#include <cstddef>
#include <cstdint>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace host {

struct Coro {
#if defined(__x86_64__) || defined(__aarch64__)
    void* sp = nullptr;     // callee-saved registers lie on the stack
#else
    ucontext_t context;
#endif
};

struct Stack {
    uint8_t* low = nullptr;   // lowest usable byte; the guard page ends here
    size_t bytes = 0;
    uint8_t* high() const { return low + bytes; }
};

// Maps a stack at the next fixed address, so that a run repeats to the byte. False when the host refuses.
bool stack_map(Stack* stack, size_t bytes);
// Whether `address` lies in the guard page of `stack`.
bool stack_guards(const Stack& stack, const void* address);
// Maps `bytes` of zeroed memory at `wanted` if that is free (0: anywhere); nullptr when the host refuses.
void* map_at(uintptr_t wanted, size_t bytes, bool accessible);

// Makes `coro` start in `entry` (which never returns) when first switched to.
void coro_make(Coro* coro, const Stack& stack, void (*entry)());
// Where a coroutine that is not running will go on. All zero where the host's context does not tell.
void coro_where(const Coro& coro, uintptr_t* pc, uintptr_t* sp, uintptr_t* frame);
// Leaves `from`, goes on in `to`.
void coro_switch(Coro* from, Coro* to);

}  // namespace host
