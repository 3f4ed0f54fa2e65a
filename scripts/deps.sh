#!/usr/bin/env bash
# Installs what building and testing need, and the packages that are named, where the system does not have them (Debian,
# Ubuntu). Elsewhere it names what is missing.
set -euo pipefail

packages=(gcc libc6-dev make cmake ninja-build pkg-config
  lua5.4 liblua5.4-dev lua-cjson lua-argparse lua-busted lua-check luarocks
  libcurl4-openssl-dev libssl-dev libsqlite3-dev sqlite3 libcmocka-dev locales lua-socket lua-luv lua-cqueues curl openssl)

packages+=("$@")

installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | head -n 1)" = installed ]
}

known() {
  [ -n "$(apt-cache search --names-only "^$1\$" 2>/dev/null)" ]
}

# luajit and luajit2 exclude each other. nginx's Lua module needs luajit2; a luajit that is there already stays.
luajit_packages() {
  if installed luajit || { ! installed luajit2 && ! known luajit2; }; then
    echo luajit libluajit-5.1-dev
  else
    echo luajit2 libluajit2-5.1-dev
  fi
}

# nginx with its Lua module: where it is not packaged, or luajit keeps it out, its specs are skipped.
nginx_packages() {
  if ! installed luajit && known libnginx-mod-http-lua; then
    echo nginx libnginx-mod-http-lua lua-resty-core
  fi
}

# The source is formatted for this version alone; where it does not exist, make lint leaves that check out.
formatter() {
  if known clang-format-14; then echo clang-format-14; fi
}

list_missing() {
  local package
  for package in "${packages[@]}" $(luajit_packages) $(nginx_packages) $(command -v clang-format-14 >/dev/null || formatter); do
    installed "$package" || echo "$package"
  done
}

without_apt() {
  local missing=() name
  for name in gcc make cmake ninja pkg-config lua5.4 luajit busted luacheck luarocks curl sqlite3; do
    command -v "$name" >/dev/null || missing+=("$name")
  done
  for name in lua5.4 luajit libcurl sqlite3 cmocka; do
    pkg-config --exists "$name" 2>/dev/null || missing+=("$name (headers and library, by pkg-config)")
  done
  for name in cjson argparse; do
    lua5.4 -e "require '$name'" 2>/dev/null || missing+=("$name (for Lua 5.4)")
  done
  luajit -e "require 'cjson'" 2>/dev/null || missing+=("cjson (for LuaJIT)")
  [ ${#missing[@]} -eq 0 ] && exit 0
  printf 'moonpost needs, and this system does not have:\n' >&2
  printf '  %s\n' "${missing[@]}" >&2
  exit 1
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  without_apt
fi

mapfile -t missing < <(list_missing)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "moonpost needs these packages, and there is no sudo to install them: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq >&2
mapfile -t missing < <(list_missing) # a fresh system knows its packages only now
# In runlevel 1 the nginx package starts no server.
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >&2
