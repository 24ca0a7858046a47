// The cost of running: every basic block of the core calls the hook, which charges that block's cycles.
#pragma once
#include <cstddef>
#include <cstdint>

namespace host {

// Cycles the running task may still use before the chip model takes over; the slice ends below zero.
// (C name: the hook must reach it without any detour.)
extern "C" int64_t k1_budget;

// Charges work done outside the core's own blocks (HAL functions, copies). May switch tasks.
void charge(uint32_t cycles);

// Loads the table made by firmware/tools/cost_table.py. False: missing, malformed or of another program.
bool costs_load(const char* path);
const char* cost_model();
// Whether an address lies among the core's code, as far as the table knows it.
bool in_core(const void* address);
// Whether an address lies in this program, not in a library of the host.
bool is_ours(uintptr_t address);
// An address of the program's code as the linker gave it, wherever the host has loaded it: fit for addr2line.
uintptr_t as_linked(uintptr_t address);
// SHA-256 of the linked program, 64 hex digits: the table knows it, the program cannot.
const char* elf_sha256();

}  // namespace host
