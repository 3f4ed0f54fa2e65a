#!/usr/bin/env bash
# Counts the instructions of the core's operations under callgrind (bench/guard.lua) in a build of its own, with -O2 and
# debug information. RECORD=1 records them anew.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/build.sh build/guard -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMP_TESTS=OFF -DMP_LUAJIT=OFF -DMP_BENCH=ON
eval "$(scripts/env.sh)"
export LUA_CPATH_5_4="$PWD/build/guard/lua5.4/?.so;;" MOONPOST_BUILD=build/guard
BENCH_TMP=$(mktemp -d)
export BENCH_TMP
trap 'rm -rf "$BENCH_TMP"' EXIT
lua5.4 bench/guard.lua
