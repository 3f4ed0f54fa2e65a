#!/usr/bin/env bash
# Runs moonpost serve on a project in .run/serve, which the first time is what moonpost init writes. Arguments go to serve.
set -euo pipefail
cd "$(dirname "$0")/.."
eval "$(scripts/env.sh)"
project=.run/serve
if [ ! -f $project/config/server.lua ]; then
  mkdir -p .run
  moonpost init $project
  echo "a token for http://127.0.0.1:1337/admin, and for curl -H 'Authorization: Bearer TOKEN' http://127.0.0.1:1337/admin/webhooks:"
  moonpost token add --config $project/config/server.lua --name make-serve --scopes read,write,emit
fi
exec moonpost serve --config $project/config/server.lua "$@"
