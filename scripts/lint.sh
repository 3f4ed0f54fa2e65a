#!/usr/bin/env bash
# Lua, C and the rockspec by their checkers. Goes through all of them before it fails.
set -u
cd "$(dirname "$0")/.."
failed=0

lua_files=(csrc lua spec examples rockspec/*.rockspec .busted .luacheckrc)
[ ! -f bin/moonpost ] || lua_files+=(bin/moonpost)
[ ! -d bench ] || lua_files+=(bench)
luacheck --quiet --no-color "${lua_files[@]}" || failed=1

scripts/layers.sh || failed=1

if command -v clang-format-14 >/dev/null; then
  find csrc bench -name node_modules -prune -o -name '*.[ch]' -exec clang-format-14 --dry-run --Werror {} + || failed=1
else
  echo "clang-format 14 is not here: the C sources' format is not checked" >&2
fi

luarocks lint rockspec/moonpost-scm-1.rockspec || failed=1
exit $failed
