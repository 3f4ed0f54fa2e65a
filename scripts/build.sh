#!/usr/bin/env bash
# build.sh FOLDER [CMAKE-OPTION]...: configures and builds into FOLDER. Silent unless it fails.
set -eu
cd "$(dirname "$0")/.."
folder=$1
shift
mkdir -p "$folder"
if ! { cmake -S . -B "$folder" -G Ninja -DMP_TESTS=ON "$@" && ninja -C "$folder"; } >"$folder/build.log" 2>&1; then
  cat "$folder/build.log" >&2
  echo "the build in $folder failed" >&2
  exit 1
fi
