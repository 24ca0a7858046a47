#include "host/hook.h"

#include <cstdio>
#include <cstring>

#include "host/chip.h"
#include "host/costs.h"

namespace host {

extern "C" {
int64_t k1_budget = 0;
void __sanitizer_cov_trace_pc();
}

namespace {

// One u16 per possible return address, at the byte distance from the hook itself, so that the program may lie anywhere.
// Calls are at least four bytes long: neighbours never overlap.
constexpr ptrdiff_t kReach = 8 << 20;
constexpr ptrdiff_t kLastFunction = 256;     // what may follow the last hook
uint8_t table[2 * kReach + 2];
// Program address 0 in the table. Set before any constructor of the core runs.
const uint8_t* table_base = nullptr;

uint64_t linked_anchor = 0;
ptrdiff_t first_hook = 0, last_hook = 0;
char model_text[96] = "";
char elf_text[65] = "";

uintptr_t anchor() { return reinterpret_cast<uintptr_t>(&__sanitizer_cov_trace_pc); }

__attribute__((constructor(101))) void place_table() {
    table_base = reinterpret_cast<const uint8_t*>(reinterpret_cast<uintptr_t>(table) + kReach - anchor());
}

struct FileHead {
    char magic[8];
    uint32_t entries;
    uint32_t anchor_low, anchor_high;   // where the hook was linked
    char model[96];
    char elf_sha256[64];
};
static_assert(sizeof(FileHead) == 180, "as firmware/tools/cost_table.py writes it");
struct FileEntry {
    int32_t offset;
    uint16_t cycles;
    uint16_t unused;
};

bool read_table(std::FILE* file) {
    FileHead head;
    if (std::fread(&head, sizeof head, 1, file) != 1) return false;
    if (std::memcmp(head.magic, "K1COSTS\x01", 8) != 0 || head.model[95] != 0) return false;
    linked_anchor = head.anchor_low | uint64_t{head.anchor_high} << 32;
    std::memcpy(model_text, head.model, sizeof model_text);
    std::memcpy(elf_text, head.elf_sha256, 64);
    for (uint32_t i = 0; i < head.entries; ++i) {
        FileEntry entry;
        if (std::fread(&entry, sizeof entry, 1, file) != 1) return false;
        if (entry.offset < -kReach || entry.offset >= kReach) return false;
        std::memcpy(table + kReach + entry.offset, &entry.cycles, 2);
        if (i == 0 || entry.offset < first_hook) first_hook = entry.offset;
        if (i == 0 || entry.offset > last_hook) last_hook = entry.offset;
    }
    return true;
}

}  // namespace

extern "C" __attribute__((used)) void __sanitizer_cov_trace_pc() {
    uint16_t cycles;
    std::memcpy(&cycles, table_base + reinterpret_cast<uintptr_t>(__builtin_return_address(0)), 2);
    if (__builtin_expect((k1_budget -= cycles) < 0, 0)) slice_over();
}

void charge(uint32_t cycles) {
    if ((k1_budget -= cycles) < 0) slice_over();
}

bool costs_load(const char* path) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return false;
    bool good = read_table(file);
    std::fclose(file);
    return good;
}

bool is_ours(uintptr_t address) { return address - anchor() + kReach < 2 * static_cast<uintptr_t>(kReach); }

uintptr_t as_linked(uintptr_t address) {
    return is_ours(address) ? static_cast<uintptr_t>(linked_anchor) + (address - anchor()) : address;
}

bool in_core(const void* address) {
    auto offset = static_cast<ptrdiff_t>(reinterpret_cast<uintptr_t>(address) - anchor());
    return offset >= first_hook && offset <= last_hook + kLastFunction;
}

const char* cost_model() { return model_text; }
const char* elf_sha256() { return elf_text; }

}  // namespace host
