--- moonpost script test: one event through one script, as the engine would run it. Nothing is sent, and nothing stored.
local bodies = require "moonpost.admin.body"
local config = require "moonpost.config"
local core = require "moonpost.core"
local files = require "moonpost.cli.files"
local json = require "moonpost.json"
local moonpost = require "moonpost"
local output = require "moonpost.cli.output"
local settings = require "moonpost.settings"
local time = require "moonpost.time"

local PHASES = { "route", "filter", "transform" }
local LOG_INFO = 3 -- what the script logs is for its author

-- A webhook for a script that no endpoint of the config names.
local SAMPLE = { name = "test", url = "https://example.com/hook", headers = {}, events = { "*" }, enabled = true }

-- "hooks/crm.lua" to the folder's whole path and "crm".
local function split(path)
  local folder, name = path:match "^(.-)([%w_-]+)%.lua$"
  if not folder or folder ~= "" and folder:sub(-1) ~= "/" then
    return nil, ("%s: expected a script's file: letters, digits, _ and -, then .lua"):format(path)
  end
  local real = core.realpath(folder == "" and "." or folder)
  if not real then return nil, ("%s: no such folder"):format(folder) end
  return real, name
end

local function endpoint_of(conf, args, name)
  for i, endpoint in ipairs(conf.endpoints) do
    if args.webhook and endpoint.name == args.webhook or not args.webhook and endpoint.script == name then return endpoint, i end
  end
  if args.webhook then return nil, ("--webhook: no endpoint of %s has the name '%s'"):format(conf.file, args.webhook) end
  return SAMPLE, 1
end

-- ---- the event --------------------------------------------------------------------------------------

-- What an emit takes, and what an event that is stored has besides.
local function read_event(path)
  local text, message, code = files.read(path)
  if not text then return nil, message, code end
  local members
  members, message = bodies.members(text)
  if not members then return nil, ("%s: %s"):format(path, message), "EINVAL" end
  local event, parts = {}, {}
  if members.created_at then
    event.created_ms, message = time.to_ms(members.created_at.value, path .. ": created_at")
    if message then return nil, message, "EINVAL" end
  end
  if members.id then event.id = members.id.value end
  members.created_at, members.id = nil, nil
  for name, member in pairs(members) do parts[#parts + 1] = ("%s:%s"):format(core.to_json(name), member.text) end
  event.text = "{" .. table.concat(parts, ",") .. "}"
  return event
end

-- The body is what an engine of this config stores of it.
local function accepted(conf, schema, options, event)
  local plain = {}
  for key, value in pairs(conf) do plain[key] = value end
  plain.store, plain.key_file, plain.scripts, plain.global_scripts, plain.endpoints = ":memory:", nil, nil, {}, {}
  local engine, message, code = core.open(settings.of(plain, moonpost._VERSION), schema, options)
  if not engine then return nil, message, code end
  local id
  id, message, code = engine:emit_json(event.text, nil, event.created_ms)
  local row = type(id) == "string" and json.decode(engine:event(id))
  engine:close(0)
  if not id then return nil, message, code end
  if not row then return nil, "expected one event, got several", "EINVAL" end
  if event.id ~= nil then
    if type(event.id) ~= "string" or not event.id:find("^evt_[0-7]" .. ("[0-9a-hjkmnp-tv-z]"):rep(12) .. "$") then
      return nil, "id: expected an event's id such as evt_38g9k6fy40000", "EINVAL"
    end
    row.id = event.id
  end
  row.created_ms = assert(time.to_ms(row.created_at, "created_at"))
  return row
end

-- ---- what is printed ----------------------------------------------------------------------------------

local function print_result(result, event, webhook)
  local lines = {
    { "event", ("%s %s"):format(event.id, event.type) }, { "webhook", webhook.name }, { "scripts", result.version },
    { "route", result.route and (#result.route > 0 and table.concat(result.route, ", ") or "to none") },
    { "decision", result.verdict }, { "error", result.error }, { "content type", result.content_type },
  }
  for _, header in ipairs(result.headers or {}) do lines[#lines + 1] = { "header", ("%s: %s"):format(header[1], header[2]) } end
  lines[#lines + 1] = { "body", result.body }
  output.fields(lines)
  local rows = {}
  for _, phase in ipairs(PHASES) do
    local use = result.phases[phase]
    if use then
      rows[#rows + 1] = { phase, ("%.3f ms"):format(use.cpu_us / 1000), ("%d"):format(use.instructions), ("%d"):format(use.memory) }
    end
  end
  if #rows > 0 then output.table({ "PHASE", "TIME", "INSTRUCTIONS", "MEMORY (BYTES)" }, rows) end
end

local function prepared(args, folder, name)
  local conf, message, code = config.load(args.config or os.getenv "MOONPOST_CONFIG" or "config/server.lua")
  if not conf then return nil, message, code end
  local webhook, id = endpoint_of(conf, args, name)
  if not webhook then return nil, id, "EINVAL" end
  local own = settings.of(conf, moonpost._VERSION)
  own.scripts.folder, own.scripts.global, own.log_level = folder, { name }, LOG_INFO
  own.endpoints = {}
  return { conf = conf, settings = own, webhook = webhook, id = id }
end

local function run(args, made, event)
  local conf = made.conf
  local options = {
    keep_unknown = conf.sanitize.unknownAttributes == "keep", keep_users = conf.sanitize.embeddedUsers == "keep",
    event_size = conf.limits.eventSize,
  }
  local schema, message, code = core.schema(conf.schema_list)
  if not schema then return nil, message, code end
  local row
  row, message, code = accepted(conf, schema, options, event)
  if not row then return nil, ("%s: %s"):format(args.event, message), code end
  local definition = settings.definition(made.webhook)
  local result
  result, message, code = json.answer(core.try_script(made.settings, schema, options, row,
    { id = made.id, name = made.webhook.name, definition = definition }))
  if not result then return nil, message, code end
  return result, row
end

return function(args)
  local folder, name = split(args.file)
  if not folder then return nil, name, "EINVAL" end
  local event, message, code = read_event(args.event)
  if not event then return nil, message, code end
  local made
  made, message, code = prepared(args, folder, name)
  if not made then return nil, message, code end
  local result, row
  result, row, code = run(args, made, event)
  if not result then return nil, row, code end
  if args.json then
    for _, key in ipairs { "route", "headers" } do
      if result[key] then output.list(result[key]) end
    end
    result.event = { id = row.id, type = row.type, created_at = row.created_at, body = row.body }
    result.webhook = made.webhook.name
    output.json(result)
  else
    print_result(result, row, made.webhook)
  end
  if result.verdict ~= "held" then return true end
  return nil, "the script failed: its deliveries would be held", "EINVAL"
end
