#include "host/heap.h"

#include <algorithm>

#include "hal/system.h"
#include "host/coro.h"
#include "host/costs.h"
#include "host/hook.h"
#include "host/panic.h"

namespace host {
namespace {

#if defined(__linux__)
constexpr uintptr_t kArenaBase = 0x3FC90000;    // where the chip's heap lies
#else
constexpr uintptr_t kArenaBase = 0x33FC90000;
#endif
constexpr uint32_t kHead = 0xABBA1234;          // written around every block, as the chip's heap does with light poisoning
constexpr uint32_t kTail = 0xBAAD5678;

struct Block {
    uint32_t canary;
    uint32_t bytes;          // payload, a multiple of 16
    uint32_t used;
    uint32_t unused;
};
static_assert(sizeof(Block) == 16, "blocks keep 16-byte alignment");
constexpr uint32_t kOverhead = sizeof(Block) + 16;   // head, and the tail canary padded to 16

uint8_t* arena = nullptr;
uint32_t arena_bytes = 0;
uint32_t taken = 0;          // blocks in use with their overhead
uint32_t reserved = 0;       // stacks
uint32_t least = 0;

Block* first() { return reinterpret_cast<Block*>(arena); }
uint8_t* payload(Block* b) { return reinterpret_cast<uint8_t*>(b + 1); }
Block* after(Block* b) { return reinterpret_cast<Block*>(payload(b) + b->bytes + 16); }
bool beyond(Block* b) { return reinterpret_cast<uint8_t*>(b) + kOverhead > arena + arena_bytes; }
uint32_t* tail(Block* b) { return reinterpret_cast<uint32_t*>(payload(b) + b->bytes); }

void seal(Block* b, uint32_t bytes, bool used) {
    b->canary = kHead;
    b->bytes = bytes;
    b->used = used;
    *tail(b) = kTail;
}

void note() { least = std::min(least, heap_bytes_free()); }

void check(Block* b) {
    if (b->canary != kHead) panic_corrupt_heap("head", b);
    if (*tail(b) != kTail) panic_corrupt_heap("tail", tail(b));
}

// Joins free neighbours from `b` on.
void join(Block* b) {
    for (Block* next = after(b); !beyond(next) && !next->used; next = after(b)) {
        check(next);
        seal(b, b->bytes + next->bytes + kOverhead, false);
    }
}

// Cuts `b` to `bytes` when the rest can be a block of its own.
void split(Block* b, uint32_t bytes) {
    if (b->bytes < bytes + kOverhead + 16) return;
    uint32_t rest = b->bytes - bytes - kOverhead;
    seal(b, bytes, true);
    seal(after(b), rest, false);
}

void* take(size_t bytes) {
    if (bytes == 0 || bytes > arena_bytes) return nullptr;
    uint32_t wanted = static_cast<uint32_t>((bytes + 15) / 16 * 16);
    if (wanted + kOverhead > heap_bytes_free()) return nullptr;
    for (Block* b = first(); !beyond(b); b = after(b)) {
        check(b);
        if (b->used) continue;
        join(b);
        if (b->bytes < wanted) continue;
        seal(b, b->bytes, true);
        split(b, wanted);
        taken += b->bytes + kOverhead;
        note();
        return payload(b);
    }
    return nullptr;
}

}  // namespace

bool heap_begin(uint32_t bytes) {
    arena_bytes = bytes / 16 * 16;
    arena = static_cast<uint8_t*>(map_at(kArenaBase, arena_bytes, true));
    if (arena == nullptr || arena_bytes < 4096) return false;
    seal(first(), arena_bytes - kOverhead, false);
    least = arena_bytes;
    return true;
}

bool heap_reserve(size_t bytes) {
    if (bytes > heap_bytes_free()) return false;
    reserved += static_cast<uint32_t>(bytes);
    note();
    return true;
}

void heap_unreserve(size_t bytes) { reserved -= static_cast<uint32_t>(bytes); }

uint32_t heap_bytes_free() { return arena_bytes - std::min(arena_bytes, taken + reserved); }
uint32_t heap_bytes_least() { return least; }

}  // namespace host

namespace hal {

void* heap_take(size_t bytes) {
    host::charge(host::cost::kHeapTake);
    return host::take(bytes);
}

void heap_give(void* p) {
    host::charge(host::cost::kHeapGive);
    if (p == nullptr) return;
    auto* block = reinterpret_cast<host::Block*>(p) - 1;
    host::check(block);
    if (!block->used) host::panic_corrupt_heap("head", block);
    block->used = 0;
    host::taken -= block->bytes + host::kOverhead;
    host::join(block);
}

size_t heap_free() {
    host::charge(host::cost::kSmall);
    return host::heap_bytes_free();
}
size_t heap_least_free() { return host::heap_bytes_least(); }
size_t heap_total() { return host::arena_bytes; }

}  // namespace hal
