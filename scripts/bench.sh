#!/usr/bin/env bash
# Builds and runs bench/run.lua, which describes CASE, ROUNDS, QUICK and VERBOSE. The stores are in a folder that is gone
# afterwards, under build/bench or $BENCH_DIR: the disk that is measured.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh build -DCMAKE_BUILD_TYPE=Release -DMP_BENCH=ON
eval "$(scripts/env.sh)"
export MOONPOST_BUILD=build
BENCH_TMP=$(mktemp -d "${BENCH_DIR:-$PWD/build/bench}/tmp.XXXXXX")
export BENCH_TMP
trap 'rm -rf "$BENCH_TMP"' EXIT
trap 'exit 130' INT TERM
lua5.4 bench/run.lua
