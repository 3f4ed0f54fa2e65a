#!/usr/bin/env bash
# nginx-specs.sh [BUSTED-OPTION]...: runs the specs inside a worker of a real nginx; prints TAP. Needs make build.
set -eu
cd "$(dirname "$0")/.."
export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;$PWD/?.lua;;"
export LUA_CPATH="$PWD/build/luajit/?.so;;"
if ! program=$(luajit -e 'print(assert(require "moonpost.cli.nginx".find()).program)' 2>&1); then
  printf '1..1\nok 1 # SKIP %s\n' "$(head -n 1 <<<"$program")"
  exit 0
fi
folder=$(mktemp -d "${TMPDIR:-/tmp}/moonpost-nginx.XXXXXX")
trap 'rm -rf "$folder"' EXIT
luajit spec/support/nginx_suite.lua "$folder" "$@" >"$folder/nginx.conf"
"$program" -p "$folder" -e stderr -c "$folder/nginx.conf"
