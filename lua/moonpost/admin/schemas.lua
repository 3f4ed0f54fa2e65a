--- The JSON Schemas of openapi.json's bodies and answers. What the config says (event types, models) is in them.
local mask = require "moonpost.mask"
local reports = require "moonpost.reports"

local schemas = {}

local list = mask.list

local function ref(name)
  return { ["$ref"] = "#/components/schemas/" .. name }
end

local function object(properties, required, more)
  local schema = { type = "object", properties = properties, required = required and list(required) or nil }
  for key, value in pairs(more or {}) do schema[key] = value end
  return schema
end

local function array(items, more)
  local schema = { type = "array", items = items }
  for key, value in pairs(more or {}) do schema[key] = value end
  return schema
end

local function nullable(schema)
  schema.type = list { schema.type, "null" }
  return schema
end

local function enum(words)
  return { type = "string", enum = list(words) }
end

local function number(least, most, type)
  return { type = type or "number", minimum = least, maximum = most }
end

local TIME = { type = "string", format = "date-time" }
local WEBHOOK_ID = { type = "integer", minimum = 1 }
local EVENT_ID = { type = "string", pattern = "^evt_[0-7][0-9a-hjkmnp-tv-z]{12}$" }
local TEXT, COUNT, FLAG = { type = "string" }, { type = "integer", minimum = 0 }, { type = "boolean" }
local MILLISECONDS = { type = "number", minimum = 0 }

-- ---- webhooks ---------------------------------------------------------------------------------------

-- Every event type and report, and a pattern for each of their first words.
local function subscriptions(event_types)
  local words, seen = { "*" }, {}
  for _, types in ipairs { event_types, reports.TYPES } do
    for _, type in ipairs(types) do
      words[#words + 1] = type
      local pattern = type:match "^([^.]+)%." and type:match "^([^.]+)%." .. ".*"
      if pattern and not seen[pattern] then
        words[#words + 1] = pattern
        seen[pattern] = true
      end
    end
  end
  return words
end

local function model_uids(models)
  local uids = {}
  for i, model in ipairs(models) do uids[i] = model.uid end
  table.sort(uids)
  return uids
end

local USER = "[A-Za-z0-9._~-]+(:[A-Za-z0-9._~-]*)?" -- and password
-- Names, and addresses that are public: whether others may be dialled is the config's matter.
local HOST_AND_REST = "([A-Za-z]([A-Za-z0-9.-]{0,50}[A-Za-z0-9])?|(1[1-9]|[2-9][0-9])([.](0|[1-9][0-9]?|1[0-9]{2})){3}"
  .. "|\\[2[4-9a-f][0-9a-f]{2}:([0-9a-f]{1,4}:){6}[0-9a-f]{1,4}\\])"
  .. "(:[1-9][0-9]{0,3})?([/?#][!-~]{0,1000})?$"
local URL = ("^https?://(%s@)?"):format(USER) .. HOST_AND_REST
local CHANGED_URL = ("^https?://((%s|[*]{3})@)?"):format(USER) .. HOST_AND_REST -- masked, as it was shown

-- The base64 of 24 to 64 bytes, and of an ed25519 key's seed.
local SECRET = "^whsec_(([A-Za-z0-9+/]{4}){8,21}([A-Za-z0-9+/][AQgw]==)?|([A-Za-z0-9+/]{4}){8,20}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)$"
local SIGNING_KEY = "^whsk_([A-Za-z0-9+/]{4}){10}[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=$"

-- What could be a mask is none.
local UNMASKED = "^(?!(wh[a-z]{2,3}_)?[ -~]{0,2}[*]{4}$)"

local function file()
  return { type = "string", minLength = 1, maxLength = 1024,
    pattern = "^(?!/)(?!(.*/)?[.][.](/|$))[^\\u0000-\\u001f\\u007f]+$", description = "Within the config's folder." }
end

local HEADER_VALUE = "^[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]*$"

-- null: a part of it may be sent.
local function auth_schema(null)
  local function form(type, properties, required)
    properties.type = { const = type }
    table.insert(required, 1, "type")
    return object(properties, not null and required or { "type" }, { additionalProperties = false })
  end
  local function text(pattern)
    return { type = "string", minLength = 1, maxLength = 4096, pattern = pattern, description = "At most 4,096 bytes." }
  end
  local word, secret = text "^[^\\u0000]+$", text(UNMASKED .. "[^\\u0000]+$")
  local value = text(UNMASKED .. "[^\\u0000-\\u0008\\u000a-\\u001f\\u007f]+$")
  local name = { type = "string", maxLength = 255, pattern = "^(Authorization|X-[A-Za-z0-9-]*(Key|Token))$",
    description = "Any header name that moonpost does not set itself." }
  return { description = "What shows the receiver who sends; answers have its secrets masked.", anyOf = list {
    form("bearer", { token = value }, { "token" }),
    form("basic", { username = text "^[^\\u0000:]+$",
      password = { type = "string", maxLength = 4096, pattern = UNMASKED .. "[^\\u0000]*$" } }, { "username", "password" }),
    form("header", { name = name, value = value }, { "name", "value" }),
    form("apiKey", { name = name, value = value }, { "name", "value" }),
    form("oauth2", { tokenUrl = { type = "string", pattern = URL }, clientId = word, clientSecret = secret, scope = word,
      audience = word, clientAuth = enum { "basic", "body" } }, { "tokenUrl", "clientId", "clientSecret" }),
    { type = "null" },
  } }
end

local function webhook_fields(context, null)
  local either = null and nullable or function(schema) return schema end
  return {
    name = { type = "string", minLength = 1, maxLength = 255, pattern = "^[^\\u0000-\\u001f\\u007f]+$",
      description = "At most 255 bytes." },
    url = { type = "string", pattern = CHANGED_URL, description = "http or https." },
    headers = { type = "object", propertyNames = { pattern = "^(?![Tt][Ee]$)[!#$%&'*+.^_`|~0-9A-Za-z-]+$" },
      additionalProperties = either { type = "string", pattern = HEADER_VALUE },
      description = "Names that moonpost sets itself (Host, webhook-id, ...) are refused, as are two that differ in case alone; "
        .. "at most 8 KiB. A value that is sent back masked as it was shown keeps what is there." },
    events = array(enum(subscriptions(context.event_types)), { minItems = 1 }),
    models = nullable(array(enum(model_uids(context.models)), { minItems = 1,
      description = "Only these models' events; null: all." })),
    enabled = FLAG,
    isEnabled = { type = "boolean", description = "Strapi's name of enabled." },
    timeout = nullable(number(0.001, 600)), connectTimeout = nullable(number(0.001, 600)),
    concurrency = nullable(number(1, 1000, "integer")),
    retrySchedule = nullable(array(number(0, 2592000), { maxItems = 100 })),
    rate = nullable(object({ perSecond = number(0.001, 100000), burst = either(number(1, 100000, "integer")) },
      not null and { "perSecond" } or nil, { additionalProperties = false })),
    order = { anyOf = list { enum { "none", "webhook", "key" }, { type = "null" } } },
    on_enable = { anyOf = list { enum { "send", "discard" }, { type = "null" } } },
    auth = auth_schema(null),
    secret = { anyOf = list { { type = "string", pattern = SECRET }, { type = "null" }, { const = false },
      array({ type = "string", pattern = SECRET }, { minItems = 1, maxItems = 5 }) },
      description = "What requests are signed with (Standard Webhooks 1.0.0); several: newest first; false: they are not. A new "
        .. "webhook without one gets one." },
    signingKey = { anyOf = list { { type = "string", pattern = SIGNING_KEY }, FLAG, { type = "null" } },
      description = "Signs as v1a too: an ed25519 seed, or its seed and public key (64 bytes); true: one is made." },
    hubSignature = nullable(object({
      secret = { type = "string", minLength = 1, maxLength = 1024, pattern = UNMASKED .. "[^\\u0000]+$" },
      header = either { type = "string", maxLength = 255,
        pattern = "^X-[!#$%&'*+.^_`|~0-9A-Za-z-]*Signature[!#$%&'*+.^_`|~0-9A-Za-z-]*$",
        description = "Any header name that moonpost does not set itself." },
      prefix = either { type = "string", maxLength = 64, pattern = "^[!-~]*$" },
      encoding = null and { anyOf = list { enum { "hex", "base64" }, { type = "null" } } } or enum { "hex", "base64" },
    }, not null and { "secret" } or nil, { additionalProperties = false })),
    tls = nullable(object({
      ca = either(file()), cert = either(file()), key = either(file()), insecure = either { type = "boolean" },
      minVersion = either { type = "string", pattern = "^1[.][23]$" },
      pin = either { type = "string", pattern = "^sha256//[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$",
        description = "Of the receiver's public key; several with ; between." },
    }, nil, { additionalProperties = false, dependentRequired = not null and { key = list { "cert" } } or nil })),
    proxy = nullable { type = "string", pattern = "^(https?|socks5h?)://[A-Za-z]([A-Za-z0-9.-]{0,50}[A-Za-z0-9])?(:[1-9][0-9]{0,3})?$" },
    script = context.scripts and nullable { type = "string", maxLength = 100, pattern = "^[A-Za-z0-9_-]+$",
      description = "The name of a file in webhooks.scripts, without .lua." }
      or { type = "null", description = "The config has no webhooks.scripts." },
  }
end

local WRITTEN = {
  id = WEBHOOK_ID, source = enum { "api", "config" }, created_at = TIME, updated_at = TIME,
  left_alone_until = { type = "string", format = "date-time", description = "Nothing is sent before." },
  failing_since = { type = "string", format = "date-time", description = "Every attempt since then has failed." },
  oldSecrets = array(object({ secret = TEXT, expires_at = TIME }, { "secret" }), { description = "That sign too." }),
  publicKey = { type = "string", description = "Of signingKey, for who verifies." },
}

local function webhook_answer(context)
  local fields = webhook_fields(context)
  fields.headers = { type = "object", additionalProperties = TEXT, description = "Masked without show_secrets." }
  fields.url, fields.events, fields.models = TEXT, array(TEXT), array(TEXT)
  fields.secret, fields.signingKey = { type = "string", description = "Masked without show_secrets." }, TEXT
  fields.auth = { type = "object", description = "Its secrets are masked without show_secrets." }
  fields.hubSignature = object({ header = TEXT, prefix = TEXT, encoding = TEXT, secret = TEXT })
  for name, schema in pairs(WRITTEN) do fields[name] = schema end
  return object(fields, { "id", "name", "url", "headers", "events", "enabled", "isEnabled", "source", "created_at",
    "updated_at" })
end

local function webhook_input(context, required, null)
  local fields = webhook_fields(context, null)
  for name in pairs(WRITTEN) do fields[name] = { readOnly = true, description = "As in answers; changes nothing." } end
  return object(fields, required, { additionalProperties = false })
end

local function add_webhooks(all, context)
  all.Webhook = webhook_answer(context)
  all.NewWebhook = webhook_input(context, { "name", "url", "headers", "events" })
  all.NewWebhook.properties.url.pattern = URL
  all.NewWebhook.properties.headers.additionalProperties.pattern = "^(?![ -~]{0,2}[*]{4}$)" .. HEADER_VALUE:sub(2)
  all.NewWebhook["not"] = { required = list { "enabled", "isEnabled" } }
  all.WebhookChange = webhook_input(context, { "name", "url", "headers" })
  all.WebhookPatch = webhook_input(context, nil, true)
  all.WebhookPatch.properties.headers.type = list { "object", "null" }
  all.Rotation = object({
    secret = { type = "string", pattern = SECRET, description = "Without one, one is made." },
    overlap = { type = "number", minimum = 0, maximum = 604800, default = 86400, description = "Seconds." },
  }, nil, { additionalProperties = false })
  all.WebhookAnswer = object({ data = ref "Webhook" }, { "data" })
  all.WebhookList = object({ data = array(ref "Webhook") }, { "data" })
  local id = { anyOf = list { number(1, 999999999999999, "integer"), { type = "string", pattern = "^[1-9][0-9]{0,14}$" } } }
  all.Ids = object({ ids = array(id, { minItems = 1, maxItems = 1000 }) }, { "ids" })
  all.IdsAnswer = object({ data = array(id) }, { "data" })
  all.TriggerAnswer = object({ data = object({
    statusCode = { type = "integer", description = "What the receiver answered; none: there was no answer." },
    message = { type = "string", description = "The start of an answer that is not 2xx, or what went wrong." },
    error = { type = "string", description = "dns, connect, tls, timeout, reset, response" },
    duration = { type = "number", minimum = 0, description = "Seconds." },
  }, { "duration" }) }, { "data" })
end

-- ---- deliveries and events --------------------------------------------------------------------------

local function attempt(more)
  local properties = { at = TIME, duration_ms = MILLISECONDS, status = { type = "integer" }, class = TEXT, error = TEXT }
  for name, schema in pairs(more) do properties[name] = schema end
  return object(properties, more.number and { "at", "duration_ms" })
end

local DELIVERY = { "id", "event_id", "webhook_id", "event", "state", "attempts", "created_at" }

local function delivery_fields()
  return {
    id = TEXT, event_id = EVENT_ID, webhook_id = WEBHOOK_ID, event = TEXT, model = TEXT,
    state = enum { "waiting", "leased", "delivered", "dead", "held", "filtered" }, attempts = COUNT,
    created_at = TIME, due_at = TIME, last = attempt {}, -- without at: it ended without an attempt
    scripts = { type = "string", description = "The versions of the scripts that it went through: name@version." },
  }
end

local function add_deliveries(all)
  all.Delivery = object(delivery_fields(), DELIVERY)
  local whole = delivery_fields()
  whole.history = array(attempt { number = COUNT, response = TEXT, scripts = TEXT })
  whole.body = { type = list { "string", "null" }, description = "What is sent; null: its event is forgotten." }
  whole.content_type = { type = "string", description = "Of the body." }
  whole.headers = { type = "object", additionalProperties = TEXT,
    description = "The fields that scripts added; masked without show_secrets." }
  all.DeliveryAnswer = object({ data = object(whole, DELIVERY) }, { "data" })
  all.DeliveryAccepted = object({ data = ref "Delivery" }, { "data" })
  all.DeliveryPage = object({ data = array(ref "Delivery"), next = { type = list { "string", "null" } } }, { "data", "next" })
  local time = { anyOf = list { TIME, number(-62135596800, 99999999999) }, description = "ISO 8601, or seconds since 1970." }
  all.Replay = object({
    webhook_id = { anyOf = list { number(1, 999999999999999, "integer"), { type = "string", pattern = "^[1-9][0-9]{0,14}$" } } },
    since = time, ["until"] = time, state = enum { "dead", "held", "all" }, limit = number(1, 10000, "integer"), after = EVENT_ID,
  }, { "webhook_id" }, { additionalProperties = false })
  all.ReplayAnswer = object({ data = object({ count = COUNT, next = { type = list { "string", "null" } } },
    { "count", "next" }) }, { "data" })
end

local function add_scripts(all)
  all.Script = object({ name = TEXT, global = FLAG, version = TEXT, paused = FLAG, calls = COUNT, errors = COUNT, cpu_ms = COUNT,
    instructions = COUNT, memory = COUNT, last_failure = TEXT,
    error = { type = "string", description = "Why the file as it is now is not loaded." },
  }, { "name", "global", "paused", "calls", "errors", "cpu_ms", "instructions", "memory" })
  all.ScriptList = object({ data = array(ref "Script") }, { "data" })
  all.ReloadAnswer = object({ data = object({
    loaded = array(TEXT), failed = array(object({ script = TEXT, error = TEXT }, { "script", "error" })),
  }, { "loaded", "failed" }) }, { "data" })
end

local function add_sessions(all)
  all.SignIn = object({ token = { type = "string", maxLength = 512, description = "Of moonpost token add." } }, { "token" },
    { additionalProperties = false })
  all.SessionAnswer = object({ data = object({
    name = { type = list { "string", "null" }, description = "The token's." },
    scopes = array(enum { "read", "write", "emit" }),
    csrf = { type = list { "string", "null" },
      description = "What requests with the cookie send as X-CSRF-Token, but for GET and HEAD; null: the request came with a token." },
    expires_at = { type = list { "string", "null" }, format = "date-time" },
  }, { "name", "scopes", "csrf", "expires_at" }) }, { "data" })
end

-- The models whose entries may be sent, and those that can be published.
local function entry_models(models)
  local all, drafts = {}, {}
  for _, model in ipairs(models) do
    if model.kind == "contentType" and not model.user then
      all[#all + 1] = model.uid
      if model.draft_and_publish then drafts[#drafts + 1] = model.uid end
    end
  end
  table.sort(all)
  table.sort(drafts)
  return all, drafts
end

local function new_event(context)
  local any = { type = "object" }
  local models, drafts = entry_models(context.models)
  local forms = list {}
  local function add(words, uids)
    if #uids == 0 then return end
    local properties = { event = enum(words), model = enum(uids), entry = any }
    forms[#forms + 1] = object(properties, { "event", "model", "entry" }, { additionalProperties = false })
    properties = { event = enum(words), model = enum(uids), entries = array(any, { minItems = 1, maxItems = context.max_events }) }
    forms[#forms + 1] = object(properties, { "event", "model", "entries" }, { additionalProperties = false })
  end
  add({ "entry.create", "entry.update", "entry.delete" }, models)
  add({ "entry.publish", "entry.unpublish" }, drafts)
  forms[#forms + 1] = object({ event = enum { "media.create", "media.update", "media.delete" }, media = any },
    { "event", "media" }, { additionalProperties = false })
  local own = {}
  for i = 9, #context.event_types do own[#own + 1] = context.event_types[i] end
  if #own > 0 then
    local model = { enum = list(models) }
    forms[#forms + 1] = object({ event = enum(own), model = model, entry = {} }, { "event" }, { additionalProperties = false })
    forms[#forms + 1] = object({ event = enum(own), media = {} }, { "event", "media" }, { additionalProperties = false })
  end
  return { anyOf = forms }
end

local function add_events(all, context)
  all.Event = object({ id = EVENT_ID, type = TEXT, model = TEXT, created_at = TIME, key = TEXT,
    routing = { type = "string", enum = list { "waiting", "held" },
      description = "A script has yet to say where it goes, or failed of it. Without it that is settled." },
    routing_error = { type = "string", description = "What the script failed of last." },
    body = { type = "string", description = "The JSON text that is sent." } }, { "id", "type", "created_at", "body" })
  all.EventAnswer = object({ data = ref "Event" }, { "data" })
  all.EventPage = object({ data = array(ref "Event"), next = { type = list { "string", "null" } } }, { "data", "next" })
  all.NewEvent = new_event(context)
  all.NewEvents = { anyOf = list { ref "NewEvent", array(ref "NewEvent", { minItems = 1, maxItems = context.max_events }) } }
  all.EventLines = { type = "string", minLength = 1, description = "One event as JSON a line (NewEvent)." }
  all.Accepted = object({ data = object({ ids = array(EVENT_ID) }, { "ids" }) }, { "data" })
end

-- ---- all ---------------------------------------------------------------------------------------------

--- The schemas by name.
---@param context { event_types: string[], models: table[], max_events: integer }
---@return table<string, table>
function schemas.all(context)
  local all = {
    Status = object({ status = TEXT }, { "status" }),
    Description = { type = "object" }, Metrics = { type = "string" },
    Error = object({
      statusCode = { type = "integer" }, error = { type = "string", description = "The status in words." }, message = TEXT,
      code = { type = "string", description = "moonpost's: EINVAL, EAGAIN, ..." },
      data = object({ errors = { type = "object", additionalProperties = array(TEXT),
        description = "What is wrong, by field." } }),
    }, { "statusCode", "error", "message" }),
    StatsAnswer = object({ data = object({ store = { type = "object" } }, { "store" }) }, { "data" }),
  }
  add_webhooks(all, context)
  add_deliveries(all)
  add_scripts(all)
  add_sessions(all)
  add_events(all, context)
  return all
end

return schemas
