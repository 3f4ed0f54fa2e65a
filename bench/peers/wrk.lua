-- What the socket could do: wrk posts the same body on all connections and hardly looks at the answers. A wrk script.
--
--   wrk -t 1 -c CONNECTIONS -d SECONDS -s wrk.lua URL -- BODY-FILE
local wrk = wrk -- luacheck: globals wrk

local function init(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method = "POST"
  wrk.body = file:read "*a"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Strapi-Event"] = "entry.create"
  wrk.headers["User-Agent"] = "moonpost/0.1.0"
  wrk.headers["webhook-id"] = "evt_0000000000000"
  wrk.headers["webhook-timestamp"] = "1700000000"
  wrk.headers["webhook-signature"] = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
  file:close()
end

-- CPU is not known here: wrk's own threads do the work. /proc has this process's, in hundredths of a second.
local function cpu_seconds()
  local file = assert(io.open("/proc/self/stat", "rb"))
  local user, system = file:read("*a"):match "^.*%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  file:close()
  return (user + system) / 100
end

local function done(summary)
  local failed = summary.errors
  assert(failed.connect + failed.read + failed.write + failed.status + failed.timeout == 0, "requests failed")
  print(('{"requests":%d,"seconds":%.6f,"cpu_seconds":%.6f}'):format(summary.requests, summary.duration / 1e6,
    cpu_seconds()))
end

_G.init, _G.done = init, done
