// The one accounting heap of the modelled chip: first fit over a fixed arena, task stacks counted in.
#pragma once
#include <cstddef>
#include <cstdint>

namespace host {

// Maps the arena. False when the host has no memory.
bool heap_begin(uint32_t bytes);
// Takes room for a task's stack out of the account (the stack itself lies elsewhere). False: not enough left.
bool heap_reserve(size_t bytes);
void heap_unreserve(size_t bytes);
uint32_t heap_bytes_free();
uint32_t heap_bytes_least();

}  // namespace host
