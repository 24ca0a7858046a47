// The socket to the board: frames out are gathered and written in one go, frames in are read whole.
#pragma once
#include <cstddef>
#include <cstdint>

#include "host/wire.h"

namespace host {

constexpr int kLinkFd = 3;

// One outgoing frame: begin, put fields, and it is closed by the next begin or flush.
void frame_begin(Out type);
void frame_bytes(const void* data, size_t n);
template <typename T>
void frame_put(T value) {
    frame_bytes(&value, sizeof(T));
}
// Closes the open frame; everything gathered is written when it has grown beyond 256 KiB.
void frame_end();
// Writes all that was gathered.
void link_flush();

struct Frame {
    In type;
    Reader body;
};

// Waits for the next frame. The body stays valid until the next call. Ends the process when the board has gone.
Frame link_read();

// Ends the process because the other end broke the rules of the link.
[[noreturn]] void link_broken(const char* why);
// Writes what was gathered and ends the process.
[[noreturn]] void link_leave(int status);

}  // namespace host
