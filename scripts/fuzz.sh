#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET]...: runs each fuzz target of csrc/fuzz for so long, two at a time, under ASan and UBSan, from the
# seeds in csrc/fuzz/corpus/TARGET on. Prints what each did. What it finds stays in build/fuzz/found, and fails the run.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift

command -v clang-14 >/dev/null || {
  echo "fuzzing needs clang 14 (Debian: clang-14)" >&2
  exit 1
}
export CC=clang-14
scripts/build.sh build/fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMP_TESTS=OFF -DMP_LUAJIT=OFF -DMP_FUZZERS=ON \
  -DMP_SANITIZE=address,undefined

targets=("$@")
if [ ${#targets[@]} -eq 0 ]; then
  for source in csrc/fuzz/fuzz_*.c; do
    name=${source##*/fuzz_}
    targets+=("${name%.c}")
  done
fi
found=$PWD/build/fuzz/found logs=$PWD/build/fuzz/logs
mkdir -p "$found" "$logs"

# libFuzzer's last lines: "#N DONE cov: C ft: F corp: ...".
report() {
  awk -v name="$1" -v seconds="$seconds" '
    /cov: / { for (i = 1; i < NF; i++) { if ($i == "cov:") cov = $(i + 1); if ($i == "corp:") corpus = $(i + 1) } }
    /^stat::number_of_executed_units:/ { runs = $2 }
    END { split(corpus, c, "/"); printf "%-10s %12d %9d %8d %8d  %s\n", name, runs, runs / seconds, cov, c[1],
      runs ? "ok" : "ENDED EARLY" }' "$logs/$1.log"
}

fuzz() {
  local name=$1 work
  work=$(mktemp -d)
  mkdir -p "csrc/fuzz/corpus/$name"
  # A leak check after each input would take most of the time: there is one at the end, and where an input is suspect. A
  # small quarantine of freed memory makes those fast.
  if ASAN_OPTIONS=quarantine_size_mb=32 "build/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="$found/$name-" "$work" "csrc/fuzz/corpus/$name" >"$logs/$name.log" 2>&1; then
    report "$name"
  else
    printf '%-10s FOUND SOMETHING: build/fuzz/found, build/fuzz/logs/%s.log\n' "$name" "$name"
    tail -n 25 "$logs/$name.log"
    rm -rf "$work"
    return 1
  fi
  rm -rf "$work"
}

printf '%-10s %12s %9s %8s %8s\n' target executions 'a second' edges corpus
failed=0
for ((i = 0; i < ${#targets[@]}; i += 2)); do
  fuzz "${targets[i]}" &
  first=$!
  if [ -n "${targets[i + 1]:-}" ]; then fuzz "${targets[i + 1]}" || failed=1; fi
  wait "$first" || failed=1
done
exit $failed
