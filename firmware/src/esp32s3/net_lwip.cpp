// IPv4 through lwIP's BSD sockets; association through Arduino's WiFi object.
#include <WiFi.h>
#include <lwip/sockets.h>

#include <cstring>

#include "hal/kv.h"
#include "hal/net.h"
#include "hal/task.h"

namespace hal {
namespace {

sockaddr_in to_sockaddr(uint32_t ip, uint16_t port) {
    sockaddr_in a;
    memset(&a, 0, sizeof a);
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(ip);
    a.sin_port = htons(port);
    return a;
}

NetAddr from_sockaddr(const sockaddr_in& a) { return {ntohl(a.sin_addr.s_addr), ntohs(a.sin_port)}; }

bool make_nonblocking(int fd) {
    const int flags = lwip_fcntl(fd, F_GETFL, 0);
    return lwip_fcntl(fd, F_SETFL, flags | O_NONBLOCK) >= 0;
}

// A fresh non-blocking socket bound to `port`; kNoHandle on failure.
Handle bound(int type, uint16_t port) {
    const int fd = lwip_socket(AF_INET, type, 0);
    if (fd < 0) return kNoHandle;
    const int yes = 1;
    lwip_setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    const sockaddr_in a = to_sockaddr(INADDR_ANY, port);
    if (lwip_bind(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || !make_nonblocking(fd)) {
        lwip_close(fd);
        return kNoHandle;
    }
    return fd;
}

void no_delay(int fd) {
    const int yes = 1;
    lwip_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK; }

}  // namespace

bool net_up() { return WiFi.status() == WL_CONNECTED; }
uint32_t net_ip() { return net_up() ? ntohl(static_cast<uint32_t>(WiFi.localIP())) : 0; }
int net_rssi_dbm() { return net_up() ? WiFi.RSSI() : 0; }

void net_connect() {
    char ssid[64], pass[65];  // a key of 64 hex digits, and the NUL that NVS counts too
    if (!kv_get("wifi_creds", "ssid", ssid, sizeof ssid)) return;
    if (!kv_get("wifi_creds", "pass", pass, sizeof pass)) pass[0] = '\0';
    WiFi.persistent(false);  // the key-value store is the only place for credentials
    WiFi.mode(WIFI_STA);
    WiFi.setSleep(false);    // modem sleep adds up to 100 ms to every answer
    WiFi.setAutoReconnect(true);
    WiFi.begin(ssid, pass);
    memset(pass, 0, sizeof pass);
}

Handle tcp_listen(uint16_t port) {
    const Handle h = bound(SOCK_STREAM, port);
    if (h != kNoHandle && lwip_listen(h, 4) != 0) {
        lwip_close(h);
        return kNoHandle;
    }
    return h;
}

Handle tcp_accept(Handle listener, NetAddr* peer) {
    sockaddr_in a;
    socklen_t n = sizeof a;
    const int fd = lwip_accept(listener, reinterpret_cast<sockaddr*>(&a), &n);
    if (fd < 0) return kNoHandle;
    if (!make_nonblocking(fd)) {
        lwip_close(fd);
        return kNoHandle;
    }
    no_delay(fd);
    if (peer != nullptr) *peer = from_sockaddr(a);
    return fd;
}

Handle tcp_connect(const NetAddr& to, uint32_t timeout_ms) {
    const int fd = lwip_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return kNoHandle;
    const sockaddr_in a = to_sockaddr(to.ip, to.port);
    bool ok = make_nonblocking(fd);
    if (ok && lwip_connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0) {
        ok = errno == EINPROGRESS;
        if (ok) {
            fd_set writable;
            FD_ZERO(&writable);
            FD_SET(fd, &writable);
            timeval t = {static_cast<time_t>(timeout_ms / 1000), static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
            int error = 0;
            socklen_t n = sizeof error;
            ok = lwip_select(fd + 1, nullptr, &writable, nullptr, &t) == 1 &&
                 lwip_getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
        }
    }
    if (!ok) {
        lwip_close(fd);
        return kNoHandle;
    }
    no_delay(fd);
    return fd;
}

Handle udp_bind(uint16_t port) { return bound(SOCK_DGRAM, port); }

int net_recv(Handle h, uint8_t* data, size_t cap) {
    const int n = lwip_recv(h, data, cap, 0);
    if (n > 0) return n;
    return n < 0 && would_block() ? 0 : -1;
}

int net_send(Handle h, const uint8_t* data, size_t n) {
    const int sent = lwip_send(h, data, n, 0);
    if (sent >= 0) return sent;
    return would_block() ? 0 : -1;
}

int udp_recv(Handle h, uint8_t* data, size_t cap, NetAddr* from) {
    sockaddr_in a;
    socklen_t alen = sizeof a;
    const int n = lwip_recvfrom(h, data, cap, 0, reinterpret_cast<sockaddr*>(&a), &alen);
    if (n < 0) return would_block() ? 0 : -1;
    if (from != nullptr) *from = from_sockaddr(a);
    return n;
}

bool udp_send(Handle h, const uint8_t* data, size_t n, const NetAddr& to) {
    const sockaddr_in a = to_sockaddr(to.ip, to.port);
    return lwip_sendto(h, data, n, 0, reinterpret_cast<const sockaddr*>(&a), sizeof a) == static_cast<int>(n);
}

void net_close(Handle h) {
    if (h >= 0) lwip_close(h);
}

bool net_wait(const Handle* handles, size_t n, uint32_t timeout_ms) {
    fd_set readable;
    FD_ZERO(&readable);
    int last = -1;
    for (size_t i = 0; i < n; ++i) {
        if (handles[i] < 0) continue;
        FD_SET(handles[i], &readable);
        if (handles[i] > last) last = handles[i];
    }
    if (last < 0) {
        sleep_ms(timeout_ms);
        return false;
    }
    timeval t = {static_cast<time_t>(timeout_ms / 1000), static_cast<suseconds_t>(timeout_ms % 1000 * 1000)};
    return lwip_select(last + 1, &readable, nullptr, nullptr, timeout_ms == Signal::kForever ? nullptr : &t) > 0;
}

}  // namespace hal
