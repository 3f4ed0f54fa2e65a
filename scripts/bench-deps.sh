#!/usr/bin/env bash
# bench-deps.sh [COMMAND]...: installs what the bench compares with and the system does not have (Debian, Ubuntu); with
# arguments these commands alone. What cannot be installed is named; the bench then reports its cases as skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

# command:package; a Lua module is found by its package alone.
needs=(wrk:wrk valgrind:valgrind nginx:nginx openssl:openssl sqlite3:sqlite3 curl:curl node:nodejs npm:npm)
missing=()
for need in "${needs[@]}"; do
  command=${need%%:*}
  if [ $# -gt 0 ] && [[ " $* " != *" $command "* ]]; then continue; fi
  command -v "$command" >/dev/null || missing+=("${need#*:}")
done
if [ $# -eq 0 ] && ! lua5.4 -e 'require "socket"' 2>/dev/null; then missing+=(lua-socket); fi

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
  echo "installing: ${missing[*]}" >&2
  if ! { command -v apt-get && "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null; } >&2; then
    echo "not installed: ${missing[*]}" >&2
  fi
fi

if [ $# -eq 0 ] && [ ! -d bench/peers/node_modules/undici ]; then
  (cd bench/peers && npm ci --silent --no-audit --no-fund) >&2 || echo "not installed: undici (npm)" >&2
fi
exit 0
