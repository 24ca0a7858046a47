// Starts everything: tasks, console, network services, self-check. The board layers call start() once.
#pragma once
namespace k1 {
void start();
}
