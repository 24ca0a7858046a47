// IPv4 sockets: a small table of handles, fed by the board's NET frames, emptied into its own.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "hal/net.h"
#include "host/chip.h"
#include "host/costs.h"
#include "host/inputs.h"
#include "host/link.h"
#include "host/session.h"

namespace {

using host::Cycles;
using host::NetIn;
using host::NetOut;

constexpr size_t kMaxSockets = 16;               // as the chip's lwIP is configured
constexpr uint32_t kSendWindow = 5744;           // bytes a stream takes before the peer has acknowledged any
constexpr size_t kMostWaiting = 256u << 10;      // unread bytes; the board keeps to the chip's window, far below
constexpr size_t kMaxDatagrams = 8;              // lwIP drops what no one fetches
constexpr size_t kMaxBacklog = 5;
constexpr uint32_t kOwnHandles = 999;

// A queue of bytes. Datagrams lie in it as {u32 ip, u16 port, u32 n, bytes}.
struct Queue {
    uint8_t* data = nullptr;
    size_t first = 0, count = 0, cap = 0;

    bool put(const void* from, size_t n) {
        if (first + count + n > cap) {
            if (count > 0) std::memmove(data, data + first, count);
            first = 0;
        }
        if (count + n > cap) {
            size_t bigger = std::max<size_t>(2048, 2 * (count + n));
            auto* fresh = static_cast<uint8_t*>(std::realloc(data, bigger));
            if (fresh == nullptr) return false;
            data = fresh;
            cap = bigger;
        }
        std::memcpy(data + first + count, from, n);
        count += n;
        return true;
    }
    size_t get(void* to, size_t n) {
        n = std::min(n, count);
        std::memcpy(to, data + first, n);
        first += n;
        count -= n;
        return n;
    }
    void skip(size_t n) {
        first += n;
        count -= n;
    }
    void release() {
        std::free(data);
        *this = Queue{};
    }
};

enum class Kind : uint8_t { unused, listener, stream, datagram };
enum class Stage : uint8_t { waiting_accept, connecting, open, refused, closed };

struct Socket {
    Kind kind = Kind::unused;
    Stage stage = Stage::open;
    uint32_t handle = 0;
    uint32_t listener = 0;       // of a stream that waits to be accepted
    hal::NetAddr peer{};
    uint32_t room = 0;
    size_t datagrams = 0;
    Queue in;
};

Socket sockets[kMaxSockets];
uint32_t last_own = 0;
uint32_t ip = 0;
int rssi = 0;
const char net_key = 0;

Socket* find(uint32_t handle) {
    for (Socket& s : sockets) {
        if (s.kind != Kind::unused && s.handle == handle) return &s;
    }
    return nullptr;
}

Socket* find(hal::Handle handle, Kind kind) {
    Socket* s = handle < 0 ? nullptr : find(static_cast<uint32_t>(handle));
    return s != nullptr && s->kind == kind ? s : nullptr;
}

Socket* make(Kind kind, uint32_t handle) {
    for (Socket& s : sockets) {
        if (s.kind != Kind::unused) continue;
        s = Socket{};
        s.kind = kind;
        s.handle = handle;
        s.room = kSendWindow;
        return &s;
    }
    return nullptr;
}

void drop(Socket& s) {
    s.in.release();
    s = Socket{};
}

uint32_t fresh_handle() {        // going round, so that a late frame for a closed handle meets no new one
    do {
        last_own = last_own % kOwnHandles + 1;
    } while (find(last_own) != nullptr);
    return last_own;
}

void begin_out(NetOut kind, uint32_t handle) {
    host::frame_begin(host::Out::net);
    host::frame_put(host::now_ns());
    host::frame_put(static_cast<uint8_t>(kind));
    host::frame_put(handle);
}

void end_out() {
    host::frame_end();
    if (host::stop_on_net()) host::request_stop();
}

void tell(NetOut kind, uint32_t handle) {
    begin_out(kind, handle);
    end_out();
}

void charge_call(size_t bytes) { host::charge(host::cost::kNetCall + static_cast<uint32_t>(std::min<size_t>(bytes, 65536))); }

bool readable(const Socket& s) {
    if (s.kind == Kind::listener) {
        for (const Socket& waiting : sockets) {
            if (waiting.kind == Kind::stream && waiting.stage == Stage::waiting_accept && waiting.listener == s.handle) {
                return true;
            }
        }
        return false;
    }
    return s.in.count > 0 || s.stage == Stage::closed || s.stage == Stage::refused;
}

void on_link(host::Reader& body) {
    ip = body.take<uint32_t>();
    rssi = body.take<int8_t>();
    if (ip != 0) return;
    for (Socket& s : sockets) {
        if (s.kind == Kind::stream) s.stage = Stage::closed;
    }
}

void on_accept(host::Reader& body) {
    auto listener = body.take<uint32_t>();
    auto handle = body.take<uint32_t>();
    auto peer_ip = body.take<uint32_t>();
    auto peer_port = body.take<uint16_t>();
    size_t backlog = 0;
    for (const Socket& s : sockets) {
        backlog += s.kind == Kind::stream && s.stage == Stage::waiting_accept && s.listener == listener;
    }
    Socket* parent = find(listener);
    Socket* s = parent != nullptr && parent->kind == Kind::listener && backlog < kMaxBacklog ? make(Kind::stream, handle)
                                                                                               : nullptr;
    if (s == nullptr) {
        tell(NetOut::close, handle);     // as lwIP answers when it has no room: reset
        return;
    }
    s->stage = Stage::waiting_accept;
    s->listener = listener;
    s->peer = {peer_ip, peer_port};
}

void on_data(Socket& s, host::Reader& body) {
    if (s.in.count + body.left > kMostWaiting || !s.in.put(body.at, body.left)) s.stage = Stage::closed;
}

void on_datagram(Socket& s, host::Reader& body) {
    auto from_ip = body.take<uint32_t>();
    auto from_port = body.take<uint16_t>();
    auto n = static_cast<uint32_t>(body.left);
    if (!body.ok || s.datagrams == kMaxDatagrams) return;
    ++s.datagrams;
    s.in.put(&from_ip, 4);
    s.in.put(&from_port, 2);
    s.in.put(&n, 4);
    s.in.put(body.at, n);
}

void on_socket(NetIn kind, host::Reader& body) {
    Socket* s = find(body.take<uint32_t>());
    if (!body.ok) host::link_broken("NET is too short");
    if (s == nullptr) return;            // closed on our side meanwhile
    switch (kind) {
        case NetIn::data: on_data(*s, body); break;
        case NetIn::closed: s->stage = Stage::closed; break;
        case NetIn::connected: s->stage = Stage::open; break;
        case NetIn::refused: s->stage = Stage::refused; break;
        case NetIn::datagram: on_datagram(*s, body); break;
        case NetIn::room: s->room += body.take<uint32_t>(); break;
        default: host::link_broken("unknown NET kind");
    }
}

}  // namespace

namespace host {

void net_begin(uint32_t start_ip, int8_t rssi_dbm) {
    ip = start_ip;
    rssi = rssi_dbm;
}

void net_input(Reader body) {
    auto kind = static_cast<NetIn>(body.take<uint8_t>());
    if (kind == NetIn::link) {
        on_link(body);
    } else if (kind == NetIn::accept) {
        on_accept(body);
    } else {
        on_socket(kind, body);
    }
    if (!body.ok) link_broken("NET is too short");
    wake(&net_key);
}

}  // namespace host

namespace hal {

bool net_up() {
    host::charge(host::cost::kSmall);
    return ip != 0;
}

uint32_t net_ip() {
    host::charge(host::cost::kSmall);
    return ip;
}

int net_rssi_dbm() { return ip != 0 ? rssi : 0; }

void net_connect() { charge_call(0); }   // whether there is a network is the board's to say

Handle tcp_listen(uint16_t port) {
    charge_call(0);
    Socket* s = make(Kind::listener, fresh_handle());
    if (s == nullptr) return kNoHandle;
    begin_out(NetOut::listen, s->handle);
    host::frame_put(port);
    end_out();
    return static_cast<Handle>(s->handle);
}

Handle tcp_accept(Handle listener, NetAddr* peer) {
    charge_call(0);
    Socket* best = nullptr;
    for (Socket& s : sockets) {
        if (s.kind == Kind::stream && s.stage == Stage::waiting_accept && s.listener == static_cast<uint32_t>(listener) &&
            (best == nullptr || s.handle < best->handle)) {
            best = &s;
        }
    }
    if (best == nullptr) return kNoHandle;
    best->stage = Stage::open;
    if (peer != nullptr) *peer = best->peer;
    return static_cast<Handle>(best->handle);
}

Handle tcp_connect(const NetAddr& to, uint32_t timeout_ms) {
    charge_call(0);
    Socket* s = ip != 0 ? make(Kind::stream, fresh_handle()) : nullptr;
    if (s == nullptr) return kNoHandle;
    s->stage = Stage::connecting;
    begin_out(NetOut::connect, s->handle);
    host::frame_put(to.ip);
    host::frame_put(to.port);
    end_out();
    Cycles deadline = host::now() + timeout_ms * host::kTick;
    while (s->stage == Stage::connecting && host::now() < deadline) host::wait_for(&net_key, deadline);
    if (s->stage == Stage::open) return static_cast<Handle>(s->handle);
    tell(NetOut::close, s->handle);
    drop(*s);
    return kNoHandle;
}

Handle udp_bind(uint16_t port) {
    charge_call(0);
    Socket* s = make(Kind::datagram, fresh_handle());
    if (s == nullptr) return kNoHandle;
    begin_out(NetOut::bind_udp, s->handle);
    host::frame_put(port);
    end_out();
    return static_cast<Handle>(s->handle);
}

int net_recv(Handle h, uint8_t* data, size_t cap) {
    charge_call(cap);
    Socket* s = find(h, Kind::stream);
    if (s == nullptr) return -1;
    if (s->in.count > 0) return static_cast<int>(s->in.get(data, cap));
    return s->stage == Stage::open ? 0 : -1;
}

int net_send(Handle h, const uint8_t* data, size_t n) {
    Socket* s = find(h, Kind::stream);
    size_t taken = s != nullptr ? std::min<size_t>(n, s->room) : 0;
    charge_call(taken);
    if (s == nullptr || s->stage != Stage::open) return -1;
    if (taken == 0) return 0;
    s->room -= static_cast<uint32_t>(taken);
    begin_out(NetOut::send, s->handle);
    host::frame_bytes(data, taken);
    end_out();
    return static_cast<int>(taken);
}

int udp_recv(Handle h, uint8_t* data, size_t cap, NetAddr* from) {
    charge_call(cap);
    Socket* s = find(h, Kind::datagram);
    if (s == nullptr) return -1;
    if (s->datagrams == 0) return 0;
    NetAddr sender{};
    uint32_t n = 0;
    s->in.get(&sender.ip, 4);
    s->in.get(&sender.port, 2);
    s->in.get(&n, 4);
    size_t got = s->in.get(data, std::min<size_t>(cap, n));
    s->in.skip(n - got);
    --s->datagrams;
    if (from != nullptr) *from = sender;
    return static_cast<int>(got);
}

bool udp_send(Handle h, const uint8_t* data, size_t n, const NetAddr& to) {
    charge_call(n);
    Socket* s = find(h, Kind::datagram);
    if (s == nullptr || ip == 0 || n > 65507) return false;
    begin_out(NetOut::send_to, s->handle);
    host::frame_put(to.ip);
    host::frame_put(to.port);
    host::frame_bytes(data, n);
    end_out();
    return true;
}

void net_close(Handle h) {
    charge_call(0);
    Socket* s = h < 0 ? nullptr : find(static_cast<uint32_t>(h));
    if (s == nullptr) return;
    tell(NetOut::close, s->handle);
    drop(*s);
}

bool net_wait(const Handle* handles, size_t n, uint32_t timeout_ms) {
    charge_call(n * 16);
    Cycles deadline = host::now() + timeout_ms * host::kTick;
    for (;;) {
        for (size_t i = 0; i < n; ++i) {
            const Socket* s = handles[i] < 0 ? nullptr : find(static_cast<uint32_t>(handles[i]));
            if (s != nullptr && readable(*s)) return true;
        }
        if (host::now() >= deadline) return false;
        host::wait_for(&net_key, deadline);
    }
}

}  // namespace hal
