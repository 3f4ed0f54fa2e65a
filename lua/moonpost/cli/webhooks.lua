--- moonpost webhooks: those of the config's store, and those of the config.
local auth = require "moonpost.auth"
local moonpost = require "moonpost"
local mask = require "moonpost.mask"
local output = require "moonpost.cli.output"
local tls = require "moonpost.tls"

local webhooks = {}

-- In red: its receiver is not verified.
local function warn(webhook)
  local text = tls.warning(webhook)
  if text then output.raw(output.painter "auto"(output.RED, text) .. "\n") end
end

local function shown(webhook, args)
  return mask.webhook(webhook, args.show_secrets)
end

local function print_one(webhook, args)
  webhook = shown(webhook, args)
  if args.json then return output.json(webhook) end
  local lines = {
    { "id", webhook.id }, { "name", webhook.name }, { "url", webhook.url },
    { "enabled", webhook.enabled and "yes" or "no" }, { "source", webhook.source },
    { "events", table.concat(webhook.events, ", ") },
    { "failing since", webhook.failing_since }, { "left alone until", webhook.left_alone_until },
    { "concurrency", webhook.concurrency and ("%d"):format(webhook.concurrency) },
    { "rate", webhook.rate and ("%g a second, %d at once"):format(webhook.rate.perSecond, webhook.rate.burst) },
    { "order", webhook.order }, { "on enable", webhook.on_enable }, { "script", webhook.script },
    { "proxy", webhook.proxy }, { "tls", webhook.tls and tls.describe(webhook.tls) },
    { "models", webhook.models and table.concat(webhook.models, ", ") or "all" },
    { "secret", webhook.secret or "none: requests are not signed" },
    { "auth", webhook.auth and auth.describe(webhook.auth) },
    { "signing key", webhook.signingKey }, { "public key", webhook.publicKey },
    { "hub signature", webhook.hubSignature and ("%s: %s... (%s), %s"):format(webhook.hubSignature.header,
      webhook.hubSignature.prefix, webhook.hubSignature.encoding, webhook.hubSignature.secret) },
  }
  for _, old in ipairs(webhook.oldSecrets or {}) do
    lines[#lines + 1] = { "old secret", old.secret .. (old.expires_at and " until " .. old.expires_at or "") }
  end
  local names = {}
  for name in pairs(webhook.headers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = { "header", name .. ": " .. webhook.headers[name] } end
  output.fields(lines)
  warn(webhook)
end

local function done(args, webhook, message, code)
  if not webhook then return nil, message, code end
  print_one(webhook, args)
  return true
end

local TITLES = { "ID", "NAME", "ENABLED", "SOURCE", "EVENTS", "URL" }

local function row_of(webhook)
  return {
    webhook.id, webhook.name, webhook.enabled and "yes" or "no", webhook.source, table.concat(webhook.events, ","), webhook.url,
  }
end

function webhooks.list(hooks, args)
  local list, message, code = hooks.webhooks:list(args)
  if not list then return nil, message, code end
  for i, webhook in ipairs(list) do list[i] = shown(webhook, args) end
  output.listing(args, list, TITLES, row_of)
  if args.json then return true end
  for _, webhook in ipairs(list) do warn(webhook) end
  return true
end

function webhooks.get(hooks, args)
  return done(args, hooks.webhooks:get(args.id, args))
end

-- "Name: value" options to ordered pairs.
local function headers_of(args)
  if #args.header == 0 then return nil end
  local list = {}
  for i, line in ipairs(args.header) do
    local name, value = line:match "^([^:]+):%s*(.-)%s*$"
    if not name then return nil, ("--header '%s': expected \"Name: value\""):format(line), "EINVAL" end
    list[i] = { name, value }
  end
  return list
end

-- "key=value" options to the field.
local function tls_of(args)
  if #args.tls == 0 then return args.no_tls and moonpost.null or nil end
  local result = {}
  for _, option in ipairs(args.tls) do
    local key, value = option:match "^(%w+)=(.+)$"
    if not key then return nil, ("--tls '%s': expected key=value, such as ca=ca.pem"):format(option), "EINVAL" end
    if value == "true" or value == "false" then value = value == "true" end
    result[key] = value
  end
  return result
end

local function fields_of(args)
  local headers, message, code = headers_of(args)
  if message then return nil, message, code end
  local verified
  verified, message, code = tls_of(args)
  if message then return nil, message, code end
  if args.burst and not args.rate then return nil, "--burst: expected --rate as well", "EINVAL" end
  local fields = {
    name = args.name, url = args.url, headers = headers, concurrency = args.concurrency, order = args.order,
    on_enable = args.on_enable, secret = args.secret, signingKey = args.ed25519, script = args.script,
    tls = verified, proxy = args.no_proxy and moonpost.null or args.proxy,
    rate = args.rate and { perSecond = args.rate, burst = args.burst },
  }
  if args.no_secret then fields.secret = false end
  for _, words in ipairs(args.event) do
    fields.events = fields.events or {}
    for event in words:gmatch "[^,%s]+" do fields.events[#fields.events + 1] = event end
  end
  if #args.model > 0 then
    fields.models = args.model
  elseif args.all_models then
    fields.models = moonpost.null
  end
  if args.no_script then fields.script = moonpost.null end
  return fields
end

function webhooks.add(hooks, args)
  local fields, message, code = fields_of(args)
  if not fields then return nil, message, code end
  fields.enabled = not args.disabled
  return done(args, hooks.webhooks:create(fields, args))
end

-- The fields it has without the dropped ones, then the new ones.
local function merged_headers(current, new, dropped_names)
  local merged, dropped, there = {}, {}, {}
  for name in pairs(current) do there[name:lower()] = true end
  for _, name in ipairs(dropped_names) do
    if not there[name:lower()] then
      return nil, ("--no-header '%s': the webhook has no such header"):format(name), "ENOENT"
    end
    dropped[name:lower()] = true
  end
  for _, header in ipairs(new) do dropped[header[1]:lower()] = true end
  for name, value in pairs(current) do
    if not dropped[name:lower()] then merged[#merged + 1] = { name, value } end
  end
  table.sort(merged, function(a, b) return a[1]:lower() < b[1]:lower() end)
  for _, header in ipairs(new) do merged[#merged + 1] = header end
  return merged
end

function webhooks.set(hooks, args)
  local webhook, message, code = hooks.webhooks:get(args.id)
  if not webhook then return nil, message, code end
  local fields
  fields, message, code = fields_of(args)
  if not fields then return nil, message, code end
  if fields.headers or #args.no_header > 0 then
    fields.headers, message, code = merged_headers(webhook.headers, fields.headers or {}, args.no_header)
    if not fields.headers then return nil, message, code end
  end
  if args.enable or args.disable then fields.enabled = args.enable == true end
  if next(fields) == nil then return nil, "webhooks set: expected an option that says what to change", "EINVAL" end
  return done(args, hooks.webhooks:update(args.id, fields, args))
end

function webhooks.rm(hooks, args)
  local webhook, message, code = hooks.webhooks:delete(args.id, args)
  if not webhook then return nil, message, code end
  if args.json then
    output.json(shown(webhook, args))
  else
    output.line(("deleted webhook %s (%s)"):format(webhook.id, webhook.name))
  end
  return true
end

function webhooks.rotate_secret(hooks, args)
  return done(args, hooks.webhooks:rotate_secret(args.id,
    { secret = args.secret, overlap = args.overlap, show_secrets = args.show_secrets }))
end

function webhooks.trigger(hooks, args)
  local result, message, code = hooks.webhooks:trigger(args.id)
  if not result then return nil, message, code end
  if args.json then
    output.json(result)
  else
    output.fields {
      { "status", result.statusCode and ("%d"):format(result.statusCode) }, { "error", result.error },
      { "message", result.message }, { "duration", output.duration(result.duration * 1000) },
    }
  end
  local ok = result.statusCode and result.statusCode >= 200 and result.statusCode < 300
  if ok then return true end
  return nil, "the trigger was not delivered", result.error or "http"
end

return webhooks
