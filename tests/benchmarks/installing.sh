#!/usr/bin/env bash
# Processor seconds of each part of the installation, in fresh environments below a temporary folder (2 GB, some minutes).
#     bash tests/benchmarks/installing.sh [--all]      --all: also llama.cpp as llama-cpp-python builds it by itself
set -euo pipefail
cd "$(dirname "$0")/../.."
checkout=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SKBUILD_CMAKE_VERBOSE=0 PIP_CACHE_DIR=$work/cache PIP_DISABLE_PIP_VERSION_CHECK=1
TIMEFORMAT='%U user + %S system CPU s, %R s by the clock'

part() {  # NAME COMMAND…
    echo "== $1"
    shift
    time "$@" >"$work/log" 2>&1 || { tail -20 "$work/log"; exit 1; }
}

# The lock's entries begin at the margin; their hashes are indented.
awk '/^[a-z0-9]/ {keep = !/^llama-cpp-python==/} keep' requirements.lock >"$work/packages.lock"
awk '/^[a-z0-9]/ {keep = /^llama-cpp-python==/} keep' requirements.lock >"$work/llama.lock"

part "virtual environment" python3 -m venv "$work/venv"
part "packages: download, check, unpack, compile to bytecode" "$work/venv/bin/pip" install --no-deps -r "$work/packages.lock"
part "llama.cpp, as config/llama.cmake has it" env CMAKE_ARGS="-DCMAKE_PROJECT_llama_cpp_INCLUDE='$checkout/config/llama.cmake'" \
    "$work/venv/bin/pip" install --no-deps -r "$work/llama.lock"
part "syncd" "$work/venv/bin/pip" install --no-deps "$checkout"
if [ "${1:-}" = --all ]; then
    part "llama.cpp, as llama-cpp-python has it" env CMAKE_ARGS=-DCMAKE_CXX_FLAGS=-fno-dse \
        "$work/venv/bin/pip" install --no-cache-dir --force-reinstall --no-deps -r "$work/llama.lock"
fi
