#!/usr/bin/env bash
# Signatures of moonpost against the official Standard Webhooks libraries, both ways. What they need is installed into
# build/interop, at the versions named here and in spec/interop; a library whose tools are not on this machine is skipped. Needs make
# build. Ends with "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.."
root=$PWD out=$PWD/build/interop
mkdir -p "$out"
eval "$(scripts/env.sh)"
passed=0 failed=0 skipped=0

# What a step prints goes into its log, which is shown when it fails.
quietly() {
  "$@" >"$out/log" 2>&1 </dev/null || { cat "$out/log"; return 1; }
}

# Once more after a failure, for a registry that does not answer at once.
install() {
  quietly "$@" || { sleep 2; quietly "$@"; }
}

# library NAME TOOL PREPARE COMMAND...: PREPARE installs and builds.
library() {
  local name=$1 tool=$2 prepare=$3 p=0 f=1 answers=$out/answers line begun=$SECONDS
  shift 3
  if ! command -v "$tool" >/dev/null; then
    skipped=$((skipped + 1))
    printf '%-26s skipped: %s is not here\n' "$name" "$tool"
    return
  fi
  if $prepare && "$@" <"$out/cases" >"$answers" 2>"$out/log"; then
    line=$(lua5.4 spec/interop/cases.lua check "$out/cases" "$answers")
    sed '$d' <<<"$line"
    read -r p _ f _ < <(tail -n 1 <<<"$line")
  else
    cat "$out/log"
  fi
  printf '%-26s %4d passed, %d failed  (%d s)\n' "$name" "$p" "$f" $((SECONDS - begun))
  passed=$((passed + p)) failed=$((failed + f))
}

prepare_node() {
  mkdir -p "$out/node"
  cp spec/interop/node.mjs "$out/node/"
  [ -f "$out/node/node_modules/svix/package.json" ] ||
    install npm install --prefix "$out/node" --no-save --no-audit --no-fund --ignore-scripts standardwebhooks@1.1.1 svix@2.5.0
}

prepare_python() {
  [ -d "$out/python/standardwebhooks" ] ||
    install python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$out/python" \
      standardwebhooks==1.1.0
}

prepare_go() {
  (cd spec/interop/go && install go build -o "$out/go" .)
}

# The lock file that Cargo writes stays in build/.
prepare_rust() {
  mkdir -p "$out/rust"
  cp -r spec/interop/rust/. "$out/rust/"
  install cargo build --quiet --manifest-path "$out/rust/Cargo.toml"
}

prepare_java() {
  mkdir -p "$out/java"
  [ -f "$out/java/standardwebhooks-1.1.0.jar" ] ||
    install mvn --quiet --batch-mode dependency:copy -Dartifact=com.standardwebhooks:standardwebhooks:1.1.0 \
      -DoutputDirectory="$out/java" || return 1
  quietly javac -d "$out/java" -cp "$out/java/*" spec/interop/java/Interop.java
}

# Signatures are good for five minutes, so what takes long is done first.
for tool in npm:prepare_node python3:prepare_python go:prepare_go cargo:prepare_rust mvn:prepare_java; do
  ! command -v "${tool%%:*}" >/dev/null || "${tool##*:}" || true
done
if ! quietly lua5.4 spec/interop/cases.lua make "$out/cases"; then
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi
library "npm standardwebhooks" npm prepare_node node "$out/node/node.mjs" standardwebhooks
library "npm svix" npm prepare_node node "$out/node/node.mjs" svix
library "PyPI standardwebhooks" python3 prepare_python env PYTHONPATH="$out/python" python3 "$root/spec/interop/python.py"
library "Go" go prepare_go "$out/go"
library "Rust" cargo prepare_rust "$out/rust/target/debug/interop"
library "Java" mvn prepare_java java -cp "$out/java:$out/java/*" Interop

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
