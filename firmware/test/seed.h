// The seed of a random test: fresh for each run, printed, and replayable with K1_TEST_SEED.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <random>

namespace test {

inline unsigned fresh_seed(const char* what) {
    const char* given = std::getenv("K1_TEST_SEED");
    const unsigned seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
    std::printf("seed of %s: %u\n", what, seed);
    return seed;
}

}  // namespace test
