#!/usr/bin/env bash
# The admin page in chromium. puppeteer-core and axe-core (npm) are installed into build/browser; needs make build, nginx with its Lua module,
# and chromium. With SHOTS=FOLDER the pages' pictures are put there.
set -eu
cd "$(dirname "$0")/.."
export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$CHROMIUM" ] || ! command -v npm >/dev/null; then
  echo "$0: chromium and npm are needed" >&2
  exit 1
fi
mkdir -p build/browser
cp spec/browser/page.mjs build/browser/
[ -f build/browser/node_modules/axe-core/package.json ] ||
  npm install --prefix build/browser --no-save --no-audit --no-fund --ignore-scripts --silent puppeteer-core@24.43.1 axe-core@4.11.0
[ -z "${SHOTS:-}" ] || { mkdir -p "$SHOTS" && SHOTS=$(realpath "$SHOTS") && export SHOTS; }
eval "$(scripts/env.sh)"
exec node build/browser/page.mjs
