// Arduino entry points: the portable core owns everything after start().
#include <Arduino.h>

#include "core/app.h"

// The Arduino core marks a new image valid before setup() unless this says otherwise. C linkage matters: the core's weak
// function has it, and a C++-mangled definition would be a different function that nobody calls.
extern "C" bool verifyRollbackLater() { return true; }

void setup() { k1::start(); }

// Arduino's own task has nothing left to do: it gives its core away for good.
void loop() { vTaskDelay(portMAX_DELAY); }
