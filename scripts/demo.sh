#!/usr/bin/env bash
# Starts the test receiver and runs examples/demo/demo.lua against it, in a folder that is gone afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
build/receiver --record "$work/record" --pid-parent >"$work/receiver" &
receiver=$!
trap 'kill $receiver 2>/dev/null || true; rm -rf "$work"' EXIT

for _ in $(seq 200); do
  address=$(sed -n 's/^listening on //p' "$work/receiver")
  [ -z "$address" ] || break
  kill -0 $receiver || exit 1
  sleep 0.05
done

eval "$(scripts/env.sh)"
export RECEIVER="http://$address" RECORD="$work/record" STORE="$work/moonpost.db"
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then export COLOR=1; fi
lua5.4 examples/demo/demo.lua
