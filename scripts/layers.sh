#!/usr/bin/env bash
# Checks that includes run one way (docs/architecture.md) and that each foreign API lives in one folder.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A may=(
  [base]="base"
  [payload]="base payload"
  [crypto]="base crypto"
  [queue]="base queue"
  [http]="base http"
  [script]="base payload crypto script"
  [engine]="base payload crypto queue http script engine"
  [lua]="base payload crypto queue http script engine lua"
)
declare -A foreign=([curl]=http [sqlite3]=queue [openssl]=crypto [lua]="lua script" [lauxlib]="lua script"
                    [lualib]="lua script" [luajit]=script)
found=0

complain() {
  echo "$1" >&2
  found=1
}

for folder in csrc/*/; do
  layer=$(basename "$folder")
  case $layer in test | fuzz) continue ;; esac
  if [ -z "${may[$layer]:-}" ]; then
    complain "$folder: not a layer (scripts/layers.sh)"
    continue
  fi
  while IFS=: read -r file line text; do
    [[ $text =~ ^[[:space:]]*\#[[:space:]]*include[[:space:]]*([\"\<])([^\"\>]+) ]] || continue
    name=${BASH_REMATCH[2]}
    if [ "${BASH_REMATCH[1]}" = '"' ]; then
      case " ${may[$layer]} " in
        *" ${name%%/*} "*) ;;
        *) complain "$file:$line: $layer may include ${may[$layer]}, not \"$name\"" ;;
      esac
      continue
    fi
    api=${name%%/*}
    owners=${foreign[${api%.h}]:-}
    [ -z "$owners" ] || [[ " $owners " == *" $layer "* ]] ||
      complain "$file:$line: <$name> belongs to csrc/${owners// / and csrc/}"
  done < <(grep -rHnE '^[[:space:]]*#[[:space:]]*include' --include='*.[ch]' "$folder" || true)
done
exit $found
