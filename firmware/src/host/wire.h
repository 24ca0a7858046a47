// Frame types of the link (docs/board-link.md) and little-endian reading and writing with bounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace host {

enum class In : uint8_t { start = 0x01, grant, mic, console_rx, console_host, net, reply, stop };
enum class Out : uint8_t { ready = 0x81, reached, light, console_tx, call, net, reset, counts };
enum class Call : uint8_t {
    slot_begin = 0x01, slot_write, slot_finish, slot_abort, slot_confirm, slot_invalid,
    kv_get = 0x10, kv_set, kv_erase,
};
enum class NetIn : uint8_t { link = 1, accept, data, closed, connected, refused, datagram, room };
enum class NetOut : uint8_t { listen = 11, send, close, connect, bind_udp, send_to };

constexpr uint16_t kLinkVersion = 1;
constexpr uint32_t kMaxFrame = 4u << 20;

// Takes fields off the front of a message; `ok` turns false, and stays so, when the message is too short.
struct Reader {
    const uint8_t* at;
    size_t left;
    bool ok = true;

    template <typename T>
    T take() {
        T value{};
        if (left < sizeof(T)) {
            ok = false;
            left = 0;
            return value;
        }
        std::memcpy(&value, at, sizeof(T));  // hosts of the bench are little endian
        at += sizeof(T);
        left -= sizeof(T);
        return value;
    }

    void take_bytes(void* to, size_t n) {
        if (left < n) {
            ok = false;
            left = 0;
            return;
        }
        std::memcpy(to, at, n);
        at += n;
        left -= n;
    }
};

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the link is little endian");

}  // namespace host
