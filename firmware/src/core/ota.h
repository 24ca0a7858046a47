// Receiver of over-the-air updates, espota protocol: UDP invitation (with a password challenge if one is set), TCP connection back to
// the sender, counts as acknowledgements, MD5 over the whole. No task of its own; the network task polls it. Frame and audio tasks go on.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/md5.h"
#include "hal/net.h"

namespace k1 {

class OtaReceiver {
  public:
    static constexpr uint16_t kPort = 3232;
    static constexpr size_t kReadBytes = 1460;            // one acknowledgement per read of at most this
    static constexpr uint32_t kConnectMs = 3000;          // the sender listens before it invites and waits 10 s
    static constexpr uint64_t kAuthUs = 10000000;         // for the answer to a challenge
    static constexpr uint64_t kStallUs = 1000000;         // then the last count is told again,
    static constexpr unsigned kRepeats = 3;               // so often, before the update is given up
    enum class State : uint8_t { off, idle, challenged, receiving };

    // False when the port cannot be had.
    bool begin();
    void poll(uint64_t now_us);
    size_t collect(hal::Handle* out, size_t cap) const;
    uint64_t next_us(uint64_t now_us) const;
    State state() const { return state_; }

  private:
    struct Invitation {
        uint16_t port;
        uint32_t size;
        char md5[33];
    };

    void datagram(const char* text, size_t n, const hal::NetAddr& from, uint64_t now_us);
    bool parse_invitation(const char* text, size_t n, Invitation* out) const;
    void challenge(const hal::NetAddr& from, uint64_t now_us);
    void check_answer(const char* text, size_t n, const hal::NetAddr& from);
    void tell(const hal::NetAddr& to, const char* text);
    void start(const hal::NetAddr& from);
    void receive();
    bool take(const uint8_t* data, size_t n);
    void acknowledge();
    void stalled(uint64_t now_us);
    void finish();
    void say(const char* text);
    void give_up(unsigned code, const char* kind, const char* why, const char* words);
    void progress();

    State state_ = State::off;
    hal::Handle udp_ = hal::kNoHandle, tcp_ = hal::kNoHandle;
    Invitation invited_ = {};
    hal::NetAddr inviter_ = {};
    char nonce_[33] = {};
    uint64_t since_us_ = 0;         // challenge sent, or last byte received
    unsigned repeats_ = 0;
    uint32_t received_ = 0, last_count_ = 0, told_percent_ = 0;
    Md5 md5_;
    uint8_t read_[kReadBytes];
};

}  // namespace k1
