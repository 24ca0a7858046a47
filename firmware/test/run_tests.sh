#!/bin/sh
# Builds and runs the C++ unit tests of the portable core on this machine (doctest; sanitizers where available).
# Arguments go to doctest, for example: firmware/test/run_tests.sh -tc='*goertzel*'
set -eu
cd "$(dirname "$0")/../.."
if [ -x .venv/bin/python ]; then
    exec .venv/bin/python tools/core_tests.py "$@"
fi
exec "${PYTHON:-python3}" tools/core_tests.py "$@"
