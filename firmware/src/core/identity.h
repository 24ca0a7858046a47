// Who is running: build, image, boot, chip. Everything a harness needs to know that it talks to the firmware it flashed.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/sentence.h"
#include "hal/slots.h"
#include "hal/system.h"

namespace k1 {

struct Identity {
    hal::ResetReason reset_reason;
    uint32_t boot_count;   // kept in the key-value store, this boot included
    uint32_t boot_id;      // random per boot
    uint8_t mac[6];
    hal::SlotInfo slot;    // as found at boot; `state` follows a confirmation
};

// Reads everything once and counts the boot. Called before any task runs.
void identity_begin();
const Identity& identity();
// The running image has just been confirmed.
void identity_confirmed();

const char* reset_reason_word(hal::ResetReason reason);
const char* slot_state_word(hal::SlotState state);

// The ID sentence into `s` (made with type "ID"), without finish().
void identity_fields(Sentence& s);
// Sends it, unasked.
void identity_announce();

}  // namespace k1
