// The firmware as a process of the host: `--manifest` prints what it offers, `--cost TABLE` runs it on descriptor 3.
#include <cstdio>
#include <cstring>

#include "host/hook.h"
#include "host/manifest.h"
#include "host/session.h"

int main(int argc, char** argv) {
    if (argc == 2 && std::strcmp(argv[1], "--manifest") == 0) {
        host::print_manifest();
        return 0;
    }
    if (argc == 3 && std::strcmp(argv[1], "--cost") == 0) {
        if (!host::costs_load(argv[2])) {
            std::fprintf(stderr, "not a cost table: %s\n", argv[2]);
            return 2;
        }
        host::session_run();
    }
    std::fprintf(stderr, "usage: %s --manifest | --cost TABLE\n", argv[0]);
    return 2;
}
