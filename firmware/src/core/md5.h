// MD5 (RFC 1321): the transport check and the password digest of the espota protocol ask for it. Not used as protection.
#pragma once
#include <cstddef>
#include <cstdint>

namespace k1 {

class Md5 {
  public:
    Md5() { reset(); }
    void reset();
    void add(const uint8_t* data, size_t n);
    void add(const char* text);
    void finish(uint8_t digest[16]);
    // 32 lower-case digits and a terminating zero.
    void finish_hex(char out[33]);

  private:
    void block(const uint8_t* p);

    uint32_t state_[4];
    uint64_t bytes_;
    uint8_t tail_[64];
};

}  // namespace k1
