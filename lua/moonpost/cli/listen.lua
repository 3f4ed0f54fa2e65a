--- moonpost listen: a receiver for development. It prints what comes, says whether the signature holds, answers as it is told,
-- and passes requests on.
local core = require "moonpost.core"
local http_server = require "moonpost.cli.http_server"
local moonpost = require "moonpost"
local output = require "moonpost.cli.output"
local verify = require "moonpost.cli.verify"

local RED, GREEN, BOLD, DIM = output.RED, "\27[32m", "\27[1m", "\27[2m"

-- How much of a body is shown.
local SHOWN = 10000

-- Hop-by-hop fields, and those that the new request has of its own (RFC 9110 section 7.6.1).
local OWN = {
  host = true, connection = true, ["content-length"] = true, ["transfer-encoding"] = true, ["keep-alive"] = true, te = true,
  trailer = true, upgrade = true, expect = true, ["proxy-authorization"] = true, ["proxy-connection"] = true,
}

local function forward(url, request)
  local headers = {}
  for _, header in ipairs(request.header_list) do
    if not OWN[header[1]:lower()] then headers[#headers + 1] = header end
  end
  local status, body, kind = core.request {
    method = request.method, url = url, headers = headers, body = request.body ~= "" and request.body or nil, timeout = 30,
  }
  if not status then return 502, {}, body, ("forwarding failed: %s"):format(body) end
  return status, { ["Content-Type"] = kind ~= "" and kind or nil }, body, ("forwarded: %d"):format(status)
end

local function show(request, paint, lines)
  local event = request.headers["x-strapi-event"]
  output.raw(("%s %s %s\n"):format(paint(DIM, os.date "%H:%M:%S"), paint(BOLD, request.method .. " " .. request.target),
    paint(BOLD, event or "")))
  for _, header in ipairs(request.header_list) do output.raw(("  %s %s\n"):format(paint(DIM, header[1] .. ":"), paint("", header[2]))) end
  if request.body ~= "" then
    output.raw(("  %s%s\n"):format(paint("", request.body:sub(1, SHOWN)),
      #request.body > SHOWN and paint(DIM, (" (%d bytes)"):format(#request.body)) or ""))
  end
  for _, line in ipairs(lines) do output.raw(("  %s\n"):format(paint(line[1], line[2]))) end
end

-- Does the signature hold? Nothing, where no secret was given.
local function verdict(request, secrets)
  if #secrets == 0 then return nil end
  local headers = {}
  for _, header in ipairs(request.header_list) do
    local name = header[1]:lower()
    headers[name] = headers[name] or {}
    table.insert(headers[name], header[2])
  end
  local ok, message = moonpost.verify(secrets, headers, request.body)
  return ok == true, message or "the signature is right"
end

local function show_json(request, status, ok, message)
  local headers = {}
  for _, header in ipairs(request.header_list) do headers[header[1]] = header[2] end
  output.json { method = request.method, target = request.target, headers = headers, body = core.to_json(request.body) and request.body
    or nil, status = status, signature = ok ~= nil and { ok = ok, message = message } or nil }
end

--- Runs until it is interrupted, or for as long or as many requests as it is told.
---@param args table
---@return true|nil
---@return string? message
---@return string? code
local function listen(args)
  local paint, secrets = output.painter(args.color), verify.secrets_of(args)
  local server, message, code = http_server.listen {
    host = args.host, port = args.port, log = function(text) io.stderr:write("moonpost: ", text, "\n") end,
    handle = function(request)
      local lines = {}
      local status, headers, body = args.status, {}, ""
      if args.forward then
        local note
        status, headers, body, note = forward(args.forward, request)
        lines[#lines + 1] = { status < 400 and GREEN or RED, note }
      end
      local ok, message = verdict(request, secrets)
      if ok ~= nil then table.insert(lines, 1, { ok and GREEN or RED, message }) end
      if args.json then show_json(request, status, ok, message) else show(request, paint, lines) end
      output.flush()
      return status, headers, body, args.delay
    end,
  }
  if not server then return nil, message, code end
  io.stderr:write(("listening on http://%s:%d\n"):format(server.host, server.port))
  server:run(args["for"] and core.now() + args["for"], args.count)
  server:close()
  return true
end

return listen
