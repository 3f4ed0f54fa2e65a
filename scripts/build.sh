#!/usr/bin/env bash
# build.sh FOLDER [CMAKE-OPTION]...: configures and builds into FOLDER. Says what it does the first time, and what went wrong.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
[ -f "$folder/build.ninja" ] || echo "building into $folder/ (half a minute) ..." >&2
mkdir -p "$folder"
if ! { cmake -S . -B "$folder" -G Ninja -DMP_TESTS=ON "$@" && ninja -C "$folder"; } >"$folder/build.log" 2>&1; then
  cat "$folder/build.log" >&2
  echo "the build in $folder failed" >&2
  exit 1
fi
