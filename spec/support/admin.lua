--- Asks a handler of the HTTP API, and decodes what it answers.
local admin = require "moonpost.admin"
local cjson = require "cjson"
local hooks_support = require "spec.support.hooks"
local json = require "moonpost.json"

local support = {}

local SCOPES = { all = { "read", "write", "emit" }, read = { "read" }, write = { "write" }, emit = { "emit" } }

--- Opens the hooks that these specs ask about: an event of their own, and a webhook of the config.
---@return moonpost.Hooks
function support.open(receiver)
  return hooks_support.open {
    events = { "order.paid" }, limits = { eventSize = 4096 },
    endpoints = { { name = "fixed", url = receiver:url "/ok", events = { "media.*" } } },
  }
end

--- A handler whose tokens are "all", "read", "write" and "emit".
---@param hooks moonpost.Hooks
---@param clock? fun(): number seconds, for failed tries
function support.handler(hooks, clock)
  return admin.new(hooks, {
    tokens = { check = function(_, token) return SCOPES[token] end }, throttle = { clock = clock or function() return 0 end },
  })
end

--- Makes a request.
---@param handler table
---@param target string the path, and the query after "?"
---@param body string|table|nil a table is sent as JSON
---@param options? { token: string|false|nil, type: string?, key: string?, remote: string?, handler: table? } token: default "all"
---@return integer status
---@return any answer
---@return table<string, string> headers
---@return string text
function support.go(handler, method, target, body, options)
  options = options or {}
  local path, query = target:match "^([^?]*)%??(.*)$"
  local headers = { ["Content-Type"] = options.type, ["Idempotency-Key"] = options.key }
  if options.token ~= false then headers.Authorization = "Bearer " .. (options.token or "all") end
  if type(body) == "table" then body = cjson.encode(body) end
  local status, answered, text = (options.handler or handler):handle {
    method = method, path = path, query = query, headers = headers, body = body, remote = options.remote,
  }
  assert(type(status) == "number")
  assert(method == "HEAD" or status == 204 or #text == tonumber(answered["Content-Length"]))
  return status, text ~= "" and json.decode(text) or nil, answered, text
end

--- Makes a webhook for a receiver.
---@return table webhook
function support.create(handler, receiver, fields)
  local body = { name = "a", url = receiver:url "/ok", headers = { Authorization = "Bearer s3cr3t" }, events = { "entry.*" } }
  for name, value in pairs(fields or {}) do body[name] = value end
  local status, answer, _, text = support.go(handler, "POST", "/admin/webhooks", body)
  assert(status == 201, text)
  return answer.data
end

return support
