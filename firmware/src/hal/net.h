// IPv4 sockets, non-blocking, by small handles. One task owns a handle at a time.
#pragma once
#include <cstddef>
#include <cstdint>

namespace hal {

using Handle = int;
constexpr Handle kNoHandle = -1;

struct NetAddr {
    uint32_t ip;    // host byte order: 127.0.0.1 is 0x7F000001
    uint16_t port;
};

bool net_up();          // associated and has an address
uint32_t net_ip();      // 0 when down
int net_rssi_dbm();     // 0 when down
// (Re)connects with the credentials in the key-value store; returns at once.
void net_connect();

Handle tcp_listen(uint16_t port);
Handle tcp_accept(Handle listener, NetAddr* peer);           // kNoHandle when nobody waits
Handle tcp_connect(const NetAddr& to, uint32_t timeout_ms);  // waits; kNoHandle on refusal or time-out
Handle udp_bind(uint16_t port);

// > 0 bytes; 0 nothing now / no room now; -1 closed or failed.
int net_recv(Handle h, uint8_t* data, size_t cap);
int net_send(Handle h, const uint8_t* data, size_t n);
int udp_recv(Handle h, uint8_t* data, size_t cap, NetAddr* from);
bool udp_send(Handle h, const uint8_t* data, size_t n, const NetAddr& to);
void net_close(Handle h);

// Waits until one of the handles has something to read (or accept, or is closed). False on time-out.
bool net_wait(const Handle* handles, size_t n, uint32_t timeout_ms);

}  // namespace hal
