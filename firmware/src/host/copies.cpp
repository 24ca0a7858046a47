// Memory and text functions for the core, charged by the bytes they touch.
//
// GCC calls them by the names copies.h gives them. Clang's own calls cannot be renamed: there the program itself answers to
// the plain names, and charges callers whose code lies among the core's.
#include <cstddef>
#include <cstring>

#include "host/costs.h"
#include "host/hook.h"

#if defined(__clang__)
#include <dlfcn.h>
#endif

namespace {

void charge_bytes(size_t n) { host::charge(host::cost::kCopyCall + static_cast<uint32_t>(n / 4)); }

#if defined(__clang__)

// The C library's own version.
template <typename F>
F* library(const char* name) {
    return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

void charge_core(const void* caller, size_t n) {
    if (host::in_core(caller)) charge_bytes(n);
}

}  // namespace

extern "C" {

void* memcpy(void* to, const void* from, size_t n) {
    static auto* real = library<void*(void*, const void*, size_t)>("memcpy");
    charge_core(__builtin_return_address(0), n);
    return real(to, from, n);
}

void* memmove(void* to, const void* from, size_t n) {
    static auto* real = library<void*(void*, const void*, size_t)>("memmove");
    charge_core(__builtin_return_address(0), n);
    return real(to, from, n);
}

void* memset(void* to, int value, size_t n) {
    static auto* real = library<void*(void*, int, size_t)>("memset");
    charge_core(__builtin_return_address(0), n);
    return real(to, value, n);
}

int memcmp(const void* a, const void* b, size_t n) {
    static auto* real = library<int(const void*, const void*, size_t)>("memcmp");
    charge_core(__builtin_return_address(0), n);
    return real(a, b, n);
}

size_t strlen(const char* text) {
    static auto* real = library<size_t(const char*)>("strlen");
    size_t n = real(text);
    charge_core(__builtin_return_address(0), 2 * n);
    return n;
}

int strcmp(const char* a, const char* b) {
    static auto* real = library<int(const char*, const char*)>("strcmp");
    charge_core(__builtin_return_address(0), 4 * strlen(a));
    return real(a, b);
}

int strncmp(const char* a, const char* b, size_t limit) {
    static auto* real = library<int(const char*, const char*, size_t)>("strncmp");
    charge_core(__builtin_return_address(0), 4 * limit);
    return real(a, b, limit);
}

}  // extern "C"

#else

}  // namespace

extern "C" {

void* k1_memcpy(void* to, const void* from, size_t n) {
    charge_bytes(n);
    return std::memcpy(to, from, n);
}

void* k1_memmove(void* to, const void* from, size_t n) {
    charge_bytes(n);
    return std::memmove(to, from, n);
}

void* k1_memset(void* to, int value, size_t n) {
    charge_bytes(n);
    return std::memset(to, value, n);
}

int k1_memcmp(const void* a, const void* b, size_t n) {
    charge_bytes(n);
    return std::memcmp(a, b, n);
}

size_t k1_strlen(const char* text) {
    size_t n = std::strlen(text);
    charge_bytes(2 * n);
    return n;
}

int k1_strcmp(const char* a, const char* b) {
    size_t n = 0;
    while (a[n] != 0 && a[n] == b[n]) ++n;
    charge_bytes(4 * n);
    return static_cast<unsigned char>(a[n]) - static_cast<unsigned char>(b[n]);
}

int k1_strncmp(const char* a, const char* b, size_t limit) {
    size_t n = 0;
    while (n < limit && a[n] != 0 && a[n] == b[n]) ++n;
    charge_bytes(4 * n);
    if (n == limit) return 0;
    return static_cast<unsigned char>(a[n]) - static_cast<unsigned char>(b[n]);
}

}  // extern "C"

#endif
