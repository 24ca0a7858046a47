// Force-included into every core source: memory and text functions, also those the compiler calls of itself, go to versions
// that are charged. GCC takes over a declared assembler name for its own calls; Clang does not, see copies.cpp.
#pragma once
#include <stddef.h>

#if defined(__GNUC__) && !defined(__clang__)
#if defined(__APPLE__)
#define K1_COSTED(name) __asm__("_k1_" #name)
#else
#define K1_COSTED(name) __asm__("k1_" #name)
#endif
extern "C" {
void* memcpy(void*, const void*, size_t) noexcept K1_COSTED(memcpy);
void* memmove(void*, const void*, size_t) noexcept K1_COSTED(memmove);
void* memset(void*, int, size_t) noexcept K1_COSTED(memset);
int memcmp(const void*, const void*, size_t) noexcept K1_COSTED(memcmp);
size_t strlen(const char*) noexcept K1_COSTED(strlen);
int strcmp(const char*, const char*) noexcept K1_COSTED(strcmp);
int strncmp(const char*, const char*, size_t) noexcept K1_COSTED(strncmp);
}
#endif
