--- Events from HAProxy (2.5 or newer), over the HTTP API of a "moonpost serve" beside it: HAProxy's Lua may be 5.3, which moonpost is
-- not built for, and its threads are HAProxy's.
--
--   lua-load /etc/haproxy/moonpost.lua          with MOONPOST_URL and MOONPOST_TOKEN in its environment
--   http-request lua.moonpost_emit order.paid   emits { method, path }; the request goes on when the event is on disk
local url = os.getenv "MOONPOST_URL" or "http://127.0.0.1:1337"
local token = assert(os.getenv "MOONPOST_TOKEN", "MOONPOST_TOKEN is not set")
local TIMEOUT = 1000 -- milliseconds

local function quoted(text)
  return '"' .. text:gsub('[%c"\\\127-\255]', function(c) return ("\\u%04x"):format(c:byte()) end) .. '"'
end

core.register_action("moonpost_emit", { "http-req" }, function(txn, event)
  local headers = { authorization = { "Bearer " .. token }, ["content-type"] = { "application/json" } }
  local trace = txn.sf:req_hdr "traceparent"
  if trace and trace ~= "" then headers.traceparent = { trace } end
  local answer = core.httpclient():post {
    url = url .. "/events", headers = headers, timeout = TIMEOUT,
    body = ('{"event":%s,"entry":{"method":%s,"path":%s}}'):format(quoted(event), quoted(txn.sf:method()), quoted(txn.sf:path())),
  }
  if answer.status ~= 202 then
    core.Warning(("moonpost: %s: answered %s: %s"):format(event, tostring(answer.status), tostring(answer.body)))
  end
  txn:set_var("txn.moonpost_status", answer.status or 0)
end, 1)
