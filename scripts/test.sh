#!/usr/bin/env bash
# Every suite: the C units and the specs, on both Luas, under sanitizers and a greedy garbage collector. Needs make build.
# Ends with "N passed, N failed, N skipped"; the exit status is 0 when nothing failed and every suite ran.
set -u
cd "$(dirname "$0")/.."
unset LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_PATH_5_4 LUA_CPATH LUA_CPATH_5_4 LD_PRELOAD MOONPOST_BUILD
export CMOCKA_MESSAGE_OUTPUT=TAP

logs=build/test
rm -rf "$logs"
mkdir -p "$logs"
passed=0 failed=0 skipped=0
trap 'kill $(jobs -p) 2>/dev/null; exit 1' INT TERM

# suite NAME COMMAND...: runs it, and leaves its TAP's sums and its report in files.
suite() {
  local name=$1 file=$logs/$2 code=0 start=$SECONDS p f s reports
  shift 2
  mkdir -p "$file.san"
  SANITIZER_LOGS=$file.san "$@" >"$file.log" 2>"$file.err" </dev/null || code=$?
  : >"$file.details"
  read -r p f s < <(awk -v details="$file.details" -f scripts/tap.awk "$file.log")

  reports=$(sanitizer_reports "$file.san")
  if [ -n "$reports" ]; then
    f=$((f + 1))
    printf '%s\n' "$reports" | sed 's/^/  /' >>"$file.details"
  fi
  if [ "$code" -ne 0 ] && [ "$f" -eq 0 ]; then
    f=1
    { echo "  ended with status $code:"; tail -n 30 "$file.log" "$file.err" | sed 's/^/    /'; } >>"$file.details"
  elif [ $((p + f + s)) -eq 0 ]; then
    f=1
    echo "  ran no test" >>"$file.details"
  fi
  {
    printf '%-34s %4d passed, %d failed, %d skipped  (%d s)\n' "$name" "$p" "$f" "$s" $((SECONDS - start))
    if [ "$f" -ne 0 ]; then cat "$file.details"; else sort -u "$file.details"; fi
  } >"$file.report"
  echo "$p $f $s" >"$file.sums"
}

# together FILE...: waits for the suites that are under way; shows their reports and adds their sums.
together() {
  local file p f s
  wait
  for file in "$@"; do
    if ! read -r p f s <"$logs/$file.sums"; then
      echo "$file: the suite did not come to its end"
      p=0 f=1 s=0
    fi
    cat "$logs/$file.report"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  done
}

# What the sanitizers wrote in the specs' processes. Of the leaks those count that have the core on their stack: the
# interpreter, the loader and the tools that specs start are not ours.
sanitizer_reports() {
  local report
  find "$1" -type f -size +0 | while read -r report; do
    if grep -q 'LeakSanitizer: detected' "$report"; then
      awk 'BEGIN { RS = ""; ORS = "\n\n" } /leak of/ && /\/csrc\/|core\.so/' "$report"
    else
      head -n 100 "$report"
    fi
  done
}

# The interpreter with a sanitizer's run-time library. The loader takes it, not LD_PRELOAD, for a shell must not inherit it. Its
# name is that of this script, so that the specs start their programs with it too.
wrapper() {
  local path=build/$1/lua lua loader
  lua=$(command -v lua5.4)
  loader=$(ldd "$lua" | grep -o '/[^ ]*/ld-linux[^ ]*')
  cat >"$path" <<EOF
#!/usr/bin/env bash
exec $loader --argv0 "\$0" --preload $(gcc -print-file-name="lib$1.so") $lua "\$@"
EOF
  chmod +x "$path"
}

# units FOLDER [OPTION of ctest]...
units() {
  local folder=$1
  shift
  (cd "$folder" && ctest --verbose --parallel 2 "$@")
}

specs() {
  local interpreter=$1
  shift
  "$interpreter" "$(command -v busted)" --ignore-lua --output=TAP "$@"
}

greedy() {
  MOONPOST_KILLS=20 MOONPOST_PROPERTY_ENTRIES=2000 \
    specs lua5.4 --helper=spec/support/collector.lua --exclude-tags=install,nginx
}

# The specs inside a worker of nginx; those of real nginxes (spec/nginx) and of the rock run outside.
in_nginx() {
  MOONPOST_KILLS=20 MOONPOST_PROPERTY_ENTRIES=2000 scripts/nginx-specs.sh --exclude-tags=install,nginx
}

sanitized() {
  local common="log_path=$PWD/$SANITIZER_LOGS/report:exitcode=0"
  MOONPOST_BUILD=build/$1 MOONPOST_KILLS=20 MOONPOST_PROPERTY_ENTRIES=1000 \
    ASAN_OPTIONS=$common:detect_leaks=1 UBSAN_OPTIONS=$common:print_stacktrace=1 \
    TSAN_OPTIONS=$common:report_signal_unsafe=0 \
    specs "build/$1/lua" --cpath="build/$1/lua5.4/?.so" --exclude-tags=install,nginx
}

for kind in asan tsan; do
  flags=address,undefined
  [ $kind = asan ] || flags=thread
  scripts/build.sh build/$kind -DCMAKE_BUILD_TYPE=RelWithDebInfo -DMP_LUAJIT=OFF -DMP_SANITIZE=$flags || exit 1
  wrapper $kind
done

# The units keep both cores busy. The specs mostly wait: two suites at a time, but one that installs.
suite "C units, ASan and UBSan" units-asan units build/asan
together units-asan
suite "C units, TSan" units-tsan units build/tsan
together units-tsan
suite "C units, LuaJIT" units-luajit units build -R '_luajit$'
together units-luajit
suite "specs, Lua 5.4" specs-5.4 specs lua5.4 &
suite "specs, nginx" specs-nginx in_nginx &
together specs-5.4 specs-nginx
suite "specs, LuaJIT" specs-luajit specs luajit --run=luajit --exclude-tags=nginx &
suite "specs, Lua 5.4, greedy collector" specs-greedy greedy &
together specs-luajit specs-greedy
suite "specs, Lua 5.4, ASan and UBSan" specs-asan sanitized asan &
suite "specs, Lua 5.4, TSan" specs-tsan sanitized tsan &
together specs-asan specs-tsan

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
