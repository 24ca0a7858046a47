#include "host/link.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace host {
namespace {

constexpr size_t kFlushAt = 256u << 10;

// A byte buffer that only grows. The process ends when the host has no memory: there is no one to tell.
struct Bytes {
    uint8_t* data = nullptr;
    size_t size = 0;
    size_t cap = 0;

    void reserve(size_t n) {
        if (n <= cap) return;
        size_t wanted = cap ? cap : 4096;
        while (wanted < n) wanted *= 2;
        auto* bigger = static_cast<uint8_t*>(std::realloc(data, wanted));
        if (bigger == nullptr) _exit(70);
        data = bigger;
        cap = wanted;
    }
};

Bytes out;
size_t open_at = 0;     // where the open frame's length stands
bool open = false;

Bytes in;
size_t in_used = 0;     // bytes of `in` already handed out

// Reads until `n` bytes lie beyond in_used.
void fill(size_t n) {
    if (in.size - in_used >= n) return;
    if (in_used > 0) {
        std::memmove(in.data, in.data + in_used, in.size - in_used);
        in.size -= in_used;
        in_used = 0;
    }
    in.reserve(n < 65536 ? 65536 : n);
    while (in.size < n) {
        ssize_t got = ::read(kLinkFd, in.data + in.size, in.cap - in.size);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) _exit(0);  // the board has gone: power off
        in.size += static_cast<size_t>(got);
    }
}

}  // namespace

void frame_begin(Out type) {
    open_at = out.size;
    out.reserve(out.size + 5);
    out.size += 4;
    out.data[out.size++] = static_cast<uint8_t>(type);
    open = true;
}

void frame_bytes(const void* data, size_t n) {
    out.reserve(out.size + n);
    std::memcpy(out.data + out.size, data, n);  // may fault on the firmware's bad pointer: the size is not yet raised
    out.size += n;
}

void frame_end() {
    uint32_t length = static_cast<uint32_t>(out.size - open_at - 4);
    std::memcpy(out.data + open_at, &length, 4);
    open = false;
    if (out.size > kFlushAt) link_flush();
}

void link_flush() {
    if (open) out.size = open_at;  // a crash in the middle of a frame: that frame never was
    open = false;
    size_t done = 0;
    while (done < out.size) {
        ssize_t put = ::write(kLinkFd, out.data + done, out.size - done);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) _exit(0);
        done += static_cast<size_t>(put);
    }
    out.size = 0;
}

Frame link_read() {
    fill(4);
    uint32_t length;
    std::memcpy(&length, in.data + in_used, 4);
    if (length < 1 || length > kMaxFrame) link_broken("frame length out of bounds");
    fill(4 + length);
    const uint8_t* at = in.data + in_used + 4;
    in_used += 4 + length;
    return Frame{static_cast<In>(at[0]), Reader{at + 1, length - 1}};
}

void link_broken(const char* why) {
    std::fprintf(stderr, "board link: %s\n", why);
    link_leave(2);
}

void link_leave(int status) {
    link_flush();
    _exit(status);
}

}  // namespace host
