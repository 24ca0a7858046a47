// The two application slots in flash: what runs, and how a new image gets in.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

enum class SlotState : uint8_t { undefined, fresh, pending, valid, invalid, aborted };  // otadata states of the boot loader

struct SlotInfo {
    uint8_t index;          // 0 = app0, 1 = app1
    uint32_t size;          // bytes the slot can hold
    SlotState state;
    uint8_t sha256[32];     // of the running image as stored (the image's own SHA-256 trailer)
};

SlotInfo slot_running();

// Opens the other slot for an image of `bytes`. False: too big, or no slot.
bool slot_begin(uint32_t bytes);
bool slot_write(const uint8_t* data, size_t n);
// Checks the image (magic, chip, SHA-256) and makes it the one to boot, pending. False: the old one stays.
bool slot_finish();
void slot_abort();

// The running image has proven itself: no roll-back any more.
bool slot_confirm();
// Gives up the running, pending image and resets into the other one.
[[noreturn]] void slot_roll_back();

}  // namespace hal
