#!/usr/bin/env bash
# Prints the exports that put this tree into a shell: eval "$(make -s env)"
set -eu
cd "$(dirname "$0")/.."
root=$(pwd)

quote() {
  printf "'%s'" "${1//\'/\'\\\'\'}"
}

# /usr/bin/env lua may be any Lua, so the command gets its interpreter here.
mkdir -p build/bin
printf '#!/bin/sh\nexec lua5.4 %s "$@"\n' "$(quote "$root/bin/moonpost")" >build/bin/moonpost
chmod +x build/bin/moonpost

modules="$root/lua/?.lua;$root/lua/?/init.lua;;"
printf 'export PATH=%s:"$PATH"\n' "$(quote "$root/build/bin")"
printf 'export LUA_PATH=%s\n' "$(quote "$modules")"
printf 'export LUA_PATH_5_4=%s\n' "$(quote "$modules")"
printf 'export LUA_CPATH=%s\n' "$(quote "$root/build/luajit/?.so;;")"
printf 'export LUA_CPATH_5_4=%s\n' "$(quote "$root/build/lua5.4/?.so;;")"
