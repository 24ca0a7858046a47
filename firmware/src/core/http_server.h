// HTTP/1.1 server: a few connections, no task of its own, nothing that waits. The network task polls it.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "core/http_parser.h"
#include "core/http_response.h"
#include "hal/net.h"

namespace k1 {

class HttpServer {
  public:
    static constexpr size_t kConnections = 4;
    static constexpr uint64_t kIdleUs = 15000000;     // a kept-alive connection without a request
    static constexpr uint64_t kRequestUs = 5000000;   // from the first byte of a request to its last
    static constexpr uint64_t kSendUs = 5000000;      // without the client taking a single byte
    static constexpr uint64_t kDrainUs = 300000;      // after an error: what is still on its way is read, so that no reset eats the answer

    // False when the port cannot be had.
    bool begin(uint16_t port);
    // Does all that can be done now.
    void poll(uint64_t now_us);
    // Adds the handles whose input poll() is waiting for.
    size_t collect(hal::Handle* out, size_t cap) const;
    // Until when poll() has nothing to do if no input comes.
    uint64_t next_us(uint64_t now_us) const;
    size_t open_connections() const;

  private:
    enum class Stage : uint8_t { reading, sending, draining };

    struct Connection {
        hal::Handle handle = hal::kNoHandle;
        Stage stage = Stage::reading;
        bool close_after = false, continued = false;
        uint64_t since_us = 0;                        // start of what the time limit of this stage counts from
        uint8_t in[512];
        size_t in_at = 0, in_n = 0;
        HttpParser parser;
        HttpResponse response;
    };

    void accept(uint64_t now_us);
    Connection* place_for_new();
    void open(Connection& c, hal::Handle h, uint64_t now_us);
    void close(Connection& c);
    void step(Connection& c, uint64_t now_us);
    bool read(Connection& c, uint64_t now_us);
    void answer(Connection& c, uint64_t now_us);
    void refuse(Connection& c, uint16_t status, uint64_t now_us);
    bool send(Connection& c, uint64_t now_us);
    bool drain(Connection& c);
    void check_time(Connection& c, uint64_t now_us);
    static uint64_t limit_us(const Connection& c);

    hal::Handle listener_ = hal::kNoHandle;
    bool more_to_do_ = false;                         // the last poll stopped for fairness, not for lack of input
    std::array<Connection, kConnections> connections_;
};

}  // namespace k1
