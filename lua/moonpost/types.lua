---@meta moonpost.types
-- For editors (LuaLS): what a config holds, and what scripts see and return. Nothing loads this file. The public API is annotated
-- where it is defined (lua/moonpost/init.lua and the files that it requires); name types from here in a file of your own:
--   ---@type moonpost.ConfigFile        above a config's table
--   ---@type moonpost.ScriptPhases      above a script's table

-- ---- config/server.lua --------------------------------------------------------------------------------

---@class moonpost.ConfigFile
---@field webhooks moonpost.WebhooksConfig?

---@class moonpost.WebhooksConfig
---@field defaultHeaders table<string, string>|string[][]? header fields of every request
---@field store string? the SQLite file; default "data/moonpost.db"
---@field keyFile string? the key that secrets are sealed with; default: the store's path and ".key"
---@field models string|table? the folder of Strapi model files, or models by name
---@field scripts string? the folder of scripts
---@field globalScripts string[]? scripts that run for every event, in this order
---@field constants table<string, any>? what scripts find in their table constants
---@field endpoints moonpost.Endpoint[]? webhooks kept as code
---@field events string[]? event types beyond the eight
---@field delivery moonpost.DeliveryConfig?
---@field sanitize { unknownAttributes: "drop"|"keep"?, embeddedUsers: "id"|"keep"?, privateAttributes: string[]? }?
---@field network { allow: string[]? }?
---@field limits moonpost.Limits?
---@field retention { delivered: number?, dead: number?, size: integer? }? seconds, seconds, bytes
---@field log { level: "off"|"error"|"warn"|"info"|"debug"? }?

---@class moonpost.Endpoint
---@field name string
---@field url string
---@field events string[] exact names, "entry.*", or "*"
---@field headers table<string, string>|string[][]?
---@field models string[]?
---@field enabled boolean? default true
---@field timeout number? seconds
---@field connectTimeout number? seconds
---@field secret string|string[]|false? "whsec_...", or several, newest first; false: not signed
---@field signingKey string|false? "whsk_..."
---@field hubSignature { secret: string, header: string?, prefix: string?, encoding: "hex"|"base64"? }|false?
---@field auth moonpost.Auth|false? what shows the receiver who sends
---@field concurrency integer?
---@field retrySchedule number[]? seconds
---@field rate { perSecond: number, burst: integer? }?
---@field order "none"|"webhook"|"key"?
---@field on_enable "send"|"discard"?
---@field script string? a file of webhooks.scripts, without .lua

---@class moonpost.Auth
---@field type "bearer"|"basic"|"header"|"apiKey"|"oauth2"
---@field token string? bearer
---@field username string? basic
---@field password string? basic
---@field name string? header, apiKey
---@field value string? header, apiKey
---@field tokenUrl string? oauth2, as all below
---@field clientId string?
---@field clientSecret string?
---@field scope string?
---@field audience string?
---@field clientAuth "basic"|"body"? default "basic"

---@class moonpost.DeliveryConfig
---@field timeout number? seconds; default 15
---@field connectTimeout number? seconds; default 5
---@field concurrency integer? requests at a time to one webhook; default 10
---@field maxConcurrency integer? to all together; default 256
---@field threads integer? that send, at most 8; default 2, or 1 where the process may use one CPU
---@field retrySchedule number[]? seconds
---@field probeAfter number? seconds; default 30
---@field disableAfter number? seconds; default 432000; 0: never
---@field proxy string?
---@field userAgent string?

---@class moonpost.Limits
---@field eventSize integer? bytes of one body; default 1 MiB
---@field inbox integer? default 10,000
---@field inboxBytes integer? default 64 MiB
---@field emitTimeout number? seconds; default 30
---@field scriptTime number? seconds of CPU of one call of a script; default 0.05
---@field scriptInstructions integer? of one call; default 10,000,000
---@field scriptMemory integer? bytes of a script's state; default 16 MiB

-- ---- hooks/*.lua ----------------------------------------------------------------------------------------

--- What a script returns. Each phase is a plain function.
---@class moonpost.ScriptPhases
---@field events string[]? the events that reach it ("entry.*"); without it all
---@field models string[]? the models whose events reach it; without it all
---@field route (fun(event: moonpost.ScriptEvent): string[]?)? names of webhooks; counts in global scripts alone
---@field filter (fun(event: moonpost.ScriptEvent, webhook: moonpost.ScriptWebhook): boolean?)? false and nil: it is not sent
---@field transform (fun(payload: moonpost.ScriptPayload, event: moonpost.ScriptEvent, webhook: moonpost.ScriptWebhook): any, any)?
-- what is sent instead: a table (JSON), a string (as it is), or nil (as it was); and moonpost.ScriptOutput

--- An event as scripts see it: without what is private.
---@class moonpost.ScriptEvent
---@field id string "evt_38g9k6fy40000"
---@field event string "entry.create"
---@field created_at string ISO 8601
---@field model string? its name
---@field entry table?
---@field media table?

--- What is sent: the body as the scripts before left it.
---@class moonpost.ScriptPayload
---@field event string
---@field created_at string
---@field model string?
---@field entry table?
---@field media table?

---@class moonpost.ScriptWebhook
---@field id integer
---@field name string
---@field url string
---@field events string[]

--- A transform's second result.
---@class moonpost.ScriptOutput
---@field headers table<string, string>? fields that are added
---@field content_type string? of a body that is a string

-- What scripts have besides a part of Lua's library; docs/scripts.md has all of it. These are globals of scripts alone.

--- The config's webhooks.constants.
---@type table<string, any>
constants = {}

json = {}
--- JSON's null; true in a condition.
json.null = nil ---@type lightuserdata
---@param value any
---@return string
function json.encode(value) end
---@param text string
---@return any|nil value
---@return string? message
function json.decode(text) end
--- Marks a list, so that an empty one is [].
---@param list table?
---@return table list
function json.array(list) end

log = {}
function log.info(...) end
function log.warn(...) end
function log.error(...) end

crypto = {}
---@param text string
---@param encoding "hex"|"base64"|"raw"? default "hex"
---@return string
function crypto.sha256(text, encoding) end
---@param key string
---@param text string
---@param encoding "hex"|"base64"|"raw"? default "hex"
---@return string
function crypto.hmac_sha256(key, text, encoding) end

base64 = {}
---@param bytes string
---@return string
function base64.encode(bytes) end
---@param text string
---@return string|nil bytes
---@return string? message
function base64.decode(text) end
