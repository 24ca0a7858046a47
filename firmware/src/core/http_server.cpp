#include "core/http_server.h"

#include "core/router.h"

namespace k1 {
namespace {

constexpr int kTurns = 8;               // steps of one connection before the next one gets its turn
constexpr uint64_t kRetrySendUs = 10000;
constexpr uint64_t kNothingDueUs = 1000000;
constexpr char kContinue[] = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

bool HttpServer::begin(uint16_t port) {
    listener_ = hal::tcp_listen(port);
    return listener_ != hal::kNoHandle;
}

size_t HttpServer::open_connections() const {
    size_t n = 0;
    for (const Connection& c : connections_)
        if (c.handle != hal::kNoHandle) ++n;
    return n;
}

void HttpServer::poll(uint64_t now_us) {
    more_to_do_ = false;
    accept(now_us);
    for (Connection& c : connections_) {
        if (c.handle == hal::kNoHandle) continue;
        step(c, now_us);
        if (c.handle != hal::kNoHandle) check_time(c, now_us);
    }
}

void HttpServer::accept(uint64_t now_us) {
    hal::NetAddr peer;
    for (size_t i = 0; i < kConnections; ++i) {
        const hal::Handle h = hal::tcp_accept(listener_, &peer);
        if (h == hal::kNoHandle) return;
        Connection* const place = place_for_new();
        if (place != nullptr) open(*place, h, now_us);
        else hal::net_close(h);         // all are at work: the client may try again
    }
}

// A free place, else the connection that has been idle for longest.
HttpServer::Connection* HttpServer::place_for_new() {
    Connection* idle = nullptr;
    for (Connection& c : connections_) {
        if (c.handle == hal::kNoHandle) return &c;
        const bool waiting = c.stage == Stage::draining || (c.stage == Stage::reading && c.parser.idle() && c.in_at == c.in_n);
        if (waiting && (idle == nullptr || c.since_us < idle->since_us)) idle = &c;
    }
    if (idle != nullptr) close(*idle);
    return idle;
}

void HttpServer::open(Connection& c, hal::Handle h, uint64_t now_us) {
    c.handle = h;
    c.stage = Stage::reading;
    c.close_after = c.continued = false;
    c.since_us = now_us;
    c.in_at = c.in_n = 0;
    c.parser.reset();
}

void HttpServer::close(Connection& c) {
    hal::net_close(c.handle);
    c.handle = hal::kNoHandle;
    c.response.clear();
}

void HttpServer::step(Connection& c, uint64_t now_us) {
    for (int turn = 0; turn < kTurns && c.handle != hal::kNoHandle; ++turn) {
        bool moved = false;
        switch (c.stage) {
            case Stage::reading: moved = read(c, now_us); break;
            case Stage::sending: moved = send(c, now_us); break;
            case Stage::draining: moved = drain(c); break;
        }
        if (!moved) return;
    }
    more_to_do_ = more_to_do_ || c.handle != hal::kNoHandle;
}

// Takes what has come, at most to the end of one request. False when there is nothing.
bool HttpServer::read(Connection& c, uint64_t now_us) {
    if (c.in_at == c.in_n) {
        const int n = hal::net_recv(c.handle, c.in, sizeof c.in);
        if (n < 0) close(c);
        if (n <= 0) return false;
        c.in_at = 0;
        c.in_n = static_cast<size_t>(n);
    }
    if (c.parser.idle()) c.since_us = now_us;
    size_t used = 0;
    const HttpParser::State state = c.parser.take(c.in + c.in_at, c.in_n - c.in_at, &used);
    c.in_at += used;
    if (state == HttpParser::State::done) answer(c, now_us);
    else if (state == HttpParser::State::failed) refuse(c, c.parser.error(), now_us);
    else if (c.parser.in_body() && c.parser.request().expects_continue && !c.continued) {
        c.continued = true;
        const size_t n = sizeof kContinue - 1;
        if (hal::net_send(c.handle, reinterpret_cast<const uint8_t*>(kContinue), n) != static_cast<int>(n)) close(c);
    }
    return true;
}

void HttpServer::answer(Connection& c, uint64_t now_us) {
    const HttpRequest& request = c.parser.request();
    route_request(request, now_us, c.response);
    c.close_after = !request.keep_alive;
    c.response.seal(request.keep_alive, request.method != Method::head);
    c.stage = Stage::sending;
    c.since_us = now_us;
}

void HttpServer::refuse(Connection& c, uint16_t status, uint64_t now_us) {
    route_parser_error(status, c.response);
    c.close_after = true;
    c.response.seal(false, true);
    c.stage = Stage::sending;
    c.since_us = now_us;
}

// False when the client takes no more for now.
bool HttpServer::send(Connection& c, uint64_t now_us) {
    size_t n = 0;
    while (const char* data = c.response.next(&n)) {
        const int taken = hal::net_send(c.handle, reinterpret_cast<const uint8_t*>(data), n);
        if (taken < 0) return close(c), false;
        if (taken == 0) return false;
        c.response.sent(static_cast<size_t>(taken));
        c.since_us = now_us;
    }
    c.response.clear();
    if (!c.close_after) {
        c.parser.reset();
        c.continued = false;
        c.stage = Stage::reading;
    } else if (c.parser.state() == HttpParser::State::done) {
        close(c);
    } else {
        c.stage = Stage::draining;
    }
    return true;
}

bool HttpServer::drain(Connection& c) {
    c.in_at = c.in_n = 0;
    const int n = hal::net_recv(c.handle, c.in, sizeof c.in);
    if (n < 0) close(c);
    return n > 0;
}

uint64_t HttpServer::limit_us(const Connection& c) {
    switch (c.stage) {
        case Stage::sending: return c.since_us + kSendUs;
        case Stage::draining: return c.since_us + kDrainUs;
        default: return c.since_us + (c.parser.idle() ? kIdleUs : kRequestUs);
    }
}

void HttpServer::check_time(Connection& c, uint64_t now_us) {
    if (now_us < limit_us(c)) return;
    if (c.stage == Stage::reading && !c.parser.idle()) {
        refuse(c, 408, now_us);
        send(c, now_us);
    } else {
        close(c);
    }
}

size_t HttpServer::collect(hal::Handle* out, size_t cap) const {
    size_t n = 0;
    if (n < cap && listener_ != hal::kNoHandle) out[n++] = listener_;
    for (const Connection& c : connections_)
        if (c.handle != hal::kNoHandle && c.stage != Stage::sending && n < cap) out[n++] = c.handle;
    return n;
}

uint64_t HttpServer::next_us(uint64_t now_us) const {
    if (more_to_do_) return now_us;
    uint64_t next = now_us + kNothingDueUs;
    for (const Connection& c : connections_) {
        if (c.handle == hal::kNoHandle) continue;
        const uint64_t due = c.stage == Stage::sending ? now_us + kRetrySendUs : limit_us(c);
        if (due < next) next = due;
    }
    return next;
}

}  // namespace k1
