#!/usr/bin/env bash
# Tests the HTTP API against its own openapi.json with schemathesis (PyPI), on the loopback. Takes at most a minute and a half;
# the first time also what pip needs. Needs luasocket (Debian's lua-socket) and make build.
#
#   scripts/schemathesis.sh [option of "schemathesis run"]...
set -eu
cd "$(dirname "$0")/.."
version=4.32.5
tool=$PWD/build/schemathesis
work=$(mktemp -d)
server=

finish() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

if [ "$("$tool/bin/schemathesis" --version 2>/dev/null)" != "schemathesis, version $version" ]; then
  python3 -m venv "$tool"
  "$tool/bin/pip" install --quiet "schemathesis==$version"
fi

eval "$(scripts/env.sh)"
export MOONPOST_STORE="$work/moonpost.db"
config=examples/plain-http/config/server.lua
token=$(moonpost token add --config "$config" --name schemathesis --scopes read,write,emit 2>/dev/null)
export SCHEMATHESIS_HOOKS=schemathesis_hooks PYTHONPATH=$PWD/examples/plain-http PYTHONDONTWRITEBYTECODE=1

# One address that tries many wrong tokens is what this run is.
FAILURES=1000000 lua5.4 examples/plain-http/server.lua "$config" 0 >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 100); do
  grep -q listening "$work/out" && break
  sleep 0.1
done
address=$(sed -n 's/^listening on //p' "$work/out")
[ -n "$address" ] || { cat "$work/err" >&2; exit 1; }

failed=0
cd "$work" # it keeps what it saw in the folder it runs in
timeout 300 "$tool/bin/schemathesis" run "http://$address/openapi.json" \
  --header "Authorization: Bearer $token" --max-time 60 --request-timeout 10 --seed 1 "$@" || failed=$?
if [ -s "$work/err" ]; then
  echo "the server wrote:" >&2
  cat "$work/err" >&2
  failed=1
fi
exit "$failed"
