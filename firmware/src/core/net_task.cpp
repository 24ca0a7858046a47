#include "core/net_task.h"

#include "core/http_server.h"
#include "core/log.h"
#include "core/ota.h"
#include "hal/clock.h"
#include "hal/net.h"
#include "hal/task.h"

namespace k1 {
namespace {

constexpr uint16_t kHttpPort = 80;
constexpr uint32_t kNetworkLookMs = 100;
constexpr uint32_t kRetryMs = 1000;

HttpServer server;
OtaReceiver receiver;

// Waits for the network, then for the ports: both may be long in coming, neither is a reason to give up.
void open_ports() {
    while (!hal::net_up()) hal::sleep_ms(kNetworkLookMs);
    while (!server.begin(kHttpPort)) {
        LogLine(Severity::error, 'E').s("Port ").u(kHttpPort).s(" cannot be had; trying again");
        hal::sleep_ms(kRetryMs);
    }
    LogLine(Severity::info, 'E').s("Web server started on port ").u(kHttpPort);
    while (!receiver.begin()) {
        LogLine(Severity::error, '0').s("UDP port ").u(OtaReceiver::kPort).s(" cannot be had; trying again");
        hal::sleep_ms(kRetryMs);
    }
    LogLine(Severity::info, '0').s("OTA ready on UDP port ").u(OtaReceiver::kPort);
}

uint32_t wait_ms(uint64_t now_us, uint64_t due_us) { return due_us <= now_us ? 0 : static_cast<uint32_t>((due_us - now_us + 999) / 1000); }

}  // namespace

void net_run(void*) {
    open_ports();
    for (;;) {
        server.poll(hal::clock_us());
        receiver.poll(hal::clock_us());
        hal::Handle handles[HttpServer::kConnections + 3];
        constexpr size_t kMost = sizeof handles / sizeof handles[0];
        size_t n = server.collect(handles, kMost);
        n += receiver.collect(handles + n, kMost - n);
        const uint64_t now_us = hal::clock_us();
        const uint64_t http_us = server.next_us(now_us), ota_us = receiver.next_us(now_us);
        hal::net_wait(handles, n, wait_ms(now_us, http_us < ota_us ? http_us : ota_us));
    }
}

}  // namespace k1
