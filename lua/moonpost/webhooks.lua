--- Webhooks: where events are sent. Those of the config are shown beside those of the store, and are
-- read-only.
local core = require "moonpost.core"
local definitions = require "moonpost.webhook"
local json = require "moonpost.json"
local mask = require "moonpost.mask"
local settings = require "moonpost.settings"
local signing = require "moonpost.signing"

local webhooks = {}

---@class moonpost.Webhooks
local mt = { __name = "moonpost.webhooks", __index = {} }
local methods = mt.__index

-- How often a change is made anew because others change the same webhook.
local TRIES = 50

---@class moonpost.Webhook
---@field id string
---@field name string
---@field url string
---@field headers table<string, string>
---@field events string[]
---@field models string[]? uids; nil: every model
---@field script string? the name of its script
---@field enabled boolean
---@field source "api"|"config"
---@field created_at string ISO 8601
---@field updated_at string ISO 8601
---@field left_alone_until string? its receiver asked for time, or keeps failing: nothing is sent before
---@field failing_since string? every attempt since then has failed
---@field secret string? masked; nil: requests are not signed
---@field oldSecrets { secret: string, expires_at: string? }[]? that sign too, masked
---@field signingKey string? masked
---@field publicKey string? of signingKey, for who verifies
---@field tls { ca: string?, cert: string?, key: string?, pin: string?, minVersion: string?, insecure: boolean? }?
---@field proxy string?
---@field hubSignature { header: string, prefix: string, encoding: "hex"|"base64", secret: string }? secret: masked
---@field auth table? its secrets masked

local function to_webhook(row, options)
  local webhook = {}
  for name, value in pairs(row.definition) do webhook[name] = value end
  webhook.headers = {}
  for _, header in ipairs(row.definition.headers or {}) do webhook.headers[header[1]] = header[2] end
  for _, name in ipairs { "id", "source", "enabled", "created_at", "updated_at", "left_alone_until",
    "failing_since" } do
    webhook[name] = row[name]
  end
  signing.show(webhook)
  return options and options.show_secrets and webhook or mask.secrets(webhook)
end

local function one(options, text, message, code)
  local row
  row, message, code = json.answer(text, message, code)
  if not row then return nil, message, code end
  return to_webhook(row, options)
end

local function id_text(id)
  return type(id) == "number" and ("%d"):format(id) or id
end

-- Has fn change a webhook's row, and writes it; when it was changed since, by whomever, all again with what it is then. So of
-- changes at the same moment none is lost.
local function change(self, id, options, fn)
  for _ = 1, TRIES do
    local row, message, code = json.answer(self._engine:webhook(id_text(id)))
    if not row then return nil, message, code end
    local changed
    changed, message, code = fn(row)
    if not changed then return nil, message, code end
    local text
    text, message, code = self._engine:webhook_update(row.id, row.definition.name, settings.definition(row.definition),
      row.enabled, row.updated_ms)
    if text or code ~= "ECHANGED" then return one(options, text, message, code) end
  end
  return nil, ("webhook %s: others change it all the time; try again"):format(id_text(id)), "EBUSY"
end

--- For moonpost.open alone.
function webhooks.new(engine, config, schema, clock)
  local context = { events = config.events, event_list = config.event_list, network = config.network, makes_keys = true }
  function context.model(name)
    local model, message, code = schema:model(name)
    if not model then return nil, message, code end
    return model.uid
  end
  return setmetatable({ _engine = engine, _context = context, _clock = clock }, mt)
end

--- Tells every mistake of a webhook's fields; create and update tell the first.
---@param fields table as for create, or with partial for update
---@param partial boolean?
---@return { [1]: string, [2]: string }[]|nil mistakes nil: there is none; else the key, and "webhook.KEY: ..."
function methods:mistakes(fields, partial)
  local _, mistakes = definitions.examine(fields, "webhook", self._context, { partial = partial })
  return mistakes
end

--- The event types that a webhook may ask for by name, besides the reports.
---@return string[]
function methods:event_types()
  return self._context.event_list
end

--- Creates a webhook in the store.
---@param fields { name: string, url: string, headers: table?, events: string[], models: string[]?, enabled: boolean?,
-- timeout: number?, connectTimeout: number?, concurrency: integer?, retrySchedule: number[]?,
-- rate: { perSecond: number, burst: integer? }?, order: "none"|"webhook"|"key"?, on_enable: "send"|"discard"?,
-- script: string? } rate: attempts that begin in a second, and (1) at once after a rest; order: one delivery at a time, or one
-- of each emit key, in the order of the events; on_enable: what becomes of what was held while it was disabled;
-- script: the name of one in webhooks.scripts
--
-- Requests are signed with a secret that is made, unless secret gives one ("whsec_...", or a list, newest first) or is false;
-- with signingKey ("whsk_...", or true: one is made) as v1a too; with hubSignature in the older way. auth says what shows the receiver
-- who sends: { type = "bearer", token = }, { type = "basic", username =, password = }, { type = "header", name =, value = } or
-- { type = "oauth2", tokenUrl =, clientId =, clientSecret =, scope =, audience =, clientAuth = "basic"|"body" }.
--
-- tls: { ca =, cert =, key = (PEM files, relative to the config's folder and within it), pin = "sha256//...", minVersion = "1.2",
-- insecure = false }; proxy: the URL of one that takes the place of the config's.
---@param options? { show_secrets: boolean? } true: what is answered has its secrets in full (here and below)
---@return moonpost.Webhook|nil
---@return string? message
---@return string? code EINVAL
function methods:create(fields, options)
  local webhook, message, code = definitions.check(fields, "webhook", self._context)
  if not webhook then return nil, message, code end
  if webhook.secret == nil then
    local secret
    secret, message, code = core.new_secret()
    if not secret then return nil, message, code end
    webhook.secret = { secret }
  end
  return one(options, self._engine:webhook_create(webhook.name, settings.definition(webhook), webhook.enabled))
end

---@param id string
---@param options? table
---@return moonpost.Webhook|nil
---@return string? message
---@return string? code ENOENT
function methods:get(id, options)
  return one(options, self._engine:webhook(id_text(id)))
end

---@param options? table
---@return moonpost.Webhook[]|nil in the order they were made
---@return string? message
---@return string? code
function methods:list(options)
  local rows, message, code = json.answer(self._engine:webhooks())
  if not rows then return nil, message, code end
  for i, row in ipairs(rows) do rows[i] = to_webhook(row, options) end
  return rows
end

--- The secret that signs a webhook's requests, in full: what its receiver must know.
---@param id string
---@return string|nil secret
---@return string? message
---@return string? code ENOENT: there is no such webhook, or it has no secret
function methods:secret(id)
  local webhook, message, code = self:get(id, { show_secrets = true })
  if not webhook then return nil, message, code end
  if webhook.secret then return webhook.secret end
  return nil, ("webhook %s has no secret: its requests are not signed"):format(webhook.id), "ENOENT"
end

--- Gives a webhook a new secret. For the overlap requests are signed with both, the new one first, so that the receiver can
-- change at its leisure.
---@param id string
---@param options? { secret: string?, overlap: number?, show_secrets: boolean? } secret: else one is made; overlap: seconds up to
-- 604800 (86400); 0 ends every secret but the new one at once
---@return moonpost.Webhook|nil
---@return string? message
---@return string? code ENOENT, EINVAL, EROFS (the webhook is kept in the config), EBUSY (others change it all the time)
function methods:rotate_secret(id, options)
  options = options or {}
  return change(self, id, options, function(row)
    local secrets, message, code = signing.rotate(row.definition.secrets, options)
    if not secrets then return nil, message, code end
    row.definition.secrets = secrets
    return true
  end)
end

--- Changes the given fields; the others stay, also those that another process changes at the same moment. A field set to
-- moonpost.null goes back to the config's default; a secret that is given masked, as it was answered, stays as it is.
---@param id string
---@param fields table as for create, each optional; secret takes the place of all that there are (rotate_secret lets them go on)
---@param options? table
---@return moonpost.Webhook|nil
---@return string? message
---@return string? code ENOENT, EINVAL, EROFS (the webhook is kept in the config), EBUSY (others change it all the time)
function methods:update(id, fields, options)
  return change(self, id, options, function(row)
    local given = fields
    if type(fields) == "table" then
      local message
      given, message = mask.restored(fields, to_webhook(row, { show_secrets = true }))
      if not given then return nil, "webhook." .. message, "EINVAL" end
    end
    local changes, message, code = definitions.check(given, "webhook", self._context, { partial = true })
    if not changes then return nil, message, code end
    for name, value in pairs(changes) do
      if value == json.null then value = nil end
      row.definition[name] = value
    end
    if changes.secret == json.null then row.definition.secrets = nil end
    if changes.enabled ~= nil then row.enabled = changes.enabled end
    return true
  end)
end

--- Deletes a webhook. What it still had to send becomes dead; its history stays.
---@param id string
---@param options? table
---@return moonpost.Webhook|nil the deleted one
---@return string? message
---@return string? code ENOENT, EROFS
function methods:delete(id, options)
  return one(options, self._engine:webhook_delete(id_text(id)))
end

--- Sends a trigger-test to the webhook, enabled or not, and waits for the answer. Nothing is stored.
---@param id string
---@return { statusCode: integer?, message: string?, error: string?, duration: number }|nil result statusCode: what the
-- receiver answered; message: the start of the body of an answer that is not 2xx, or what went wrong; error: the
-- class of a failure without an answer ("dns", "guard", "connect", "tls", "timeout", "reset", "response"); duration: seconds
---@return string? message
---@return string? code ENOENT
function methods:trigger(id)
  local row, message, code =
    json.answer(self._engine:trigger(id_text(id), self._clock and self._clock()))
  if not row then return nil, message, code end
  local result = { duration = row.duration_ms / 1000 }
  if row.status and row.status ~= 0 then result.statusCode = row.status end
  if row.class and row.class ~= "http" then
    result.error, result.message = row.class, row.error
  elseif row.class then
    result.message = row.response or ""
  end
  return result
end

return webhooks
