--- moonpost: the webhook engine for Lua hosts.
--
-- Runtime failures return nil, message, code; a programmer's mistake (a wrong type where moonpost's own
-- objects are expected) raises an error. Ids are strings.
local core = require "moonpost.core"
local config = require "moonpost.config"
local models = require "moonpost.models"
local settings = require "moonpost.settings"
local webhooks = require "moonpost.webhooks"
local deliveries = require "moonpost.deliveries"
local events = require "moonpost.events"
local logs = require "moonpost.logs"
local reports = require "moonpost.reports"
local results = require "moonpost.results"
local json = require "moonpost.json"
local metrics = require "moonpost.metrics"

local moonpost = {
  _VERSION = "0.1.0",
  --- JSON's null in Lua values, as lua-cjson and OpenResty have it.
  null = json.null,
  --- A metatable that makes a table a JSON list, also when it is empty.
  array_mt = { __name = "moonpost.array", __jsontype = "array" },
}

---@class moonpost.Script
---@field name string
---@field global boolean
---@field version string? of its last good version; nil: none could be loaded yet
---@field error string? why the file as it is now cannot be loaded
---@field last_failure string? of this version
---@field paused boolean it failed 20 times in a row, and is not run before a new version is there
---@field calls integer of its phases, since the engine started
---@field errors integer
---@field cpu_ms integer
---@field instructions integer
---@field memory integer bytes: the most that one call had

---@class moonpost.Hooks
---@field webhooks moonpost.Webhooks
---@field deliveries moonpost.Deliveries
---@field events moonpost.Events
local hooks_mt = { __name = "moonpost.hooks", __index = {} }
local hooks = hooks_mt.__index

--- Opens the store, starts the engine and returns its handle.
-- Must be called in the process that emits: after a fork, not before.
---@param source string|table the path of config/server.lua, or its table
---@param options? { clock: (fun(): number)?, log: fun(level: string, line: string, fields: table)? } clock answers milliseconds
-- since 1970, for created_at; log is called by hooks:poll and hooks:close with what would else go to standard error: "error",
-- "warn", "info" or "debug", the line, and what it is made of (time, level, event, ...)
---@return moonpost.Hooks|nil hooks nil with a message and a code: the config is wrong (EINVAL), the store is damaged
-- (ECORRUPT), newer (EVERSION), locked or open with other settings (EBUSY)
---@return string? message
---@return string? code
function moonpost.open(source, options)
  local log = options and options.log
  if log ~= nil and type(log) ~= "function" then error("moonpost.open: options.log: expected a function", 2) end
  local conf, message, code = config.load(source)
  if not conf then return nil, message, code end
  local schema
  schema, message, code = core.schema(conf.schema_list)
  if not schema then return nil, message, code end
  local own = settings.of(conf, moonpost._VERSION)
  own.give_way = options ~= nil and options.give_way == true
  local engine
  engine, message, code = core.open(own, schema, {
    keep_unknown = conf.sanitize.unknownAttributes == "keep",
    keep_users = conf.sanitize.embeddedUsers == "keep",
    event_size = conf.limits.eventSize,
    log = log ~= nil,
  })
  if not engine then return nil, message, code end
  local self = {
    config = conf,
    _schema = schema,
    _clock = options and options.clock,
    _reports = reports.new(engine),
    _results = results.new(engine),
    _logs = log and logs.new(engine, log),
  }
  return setmetatable(self, hooks_mt):_use(engine)
end

-- Has all calls go to this engine's handle, or to what stands for it.
function hooks:_use(engine)
  self._engine = engine
  self.webhooks = webhooks.new(engine, self.config, self._schema, self._clock)
  self.deliveries = deliveries.new(engine)
  self.events = events.new(engine)
  return self
end

--- Emits an event. Returns when it is on disk, or with wait = false or done when it is handed over.
---@param event string one of the eight, or of the config's webhooks.events
---@param info { model: string?, entry: table?, entries: table[]?, media: table? }
---@param options? { wait: boolean?, done: fun(id, message, code)?, idempotency_key: string?, key: string?, headers: table? }
-- done: called by hooks:poll with what an emit that waits would return, and not called when this one answers nil; key: for
-- per-key order; idempotency_key: the same key within 24 hours returns the first id and stores nothing; headers: of this
-- event's requests alone
---@return string|string[]|nil id a list of ids for entries (one event each, all in one transaction)
---@return string? message
---@return string? code EINVAL, EPRIVATE (users are never sent), E2BIG, EAGAIN (inbox full), ENOSPC,
-- EIO, ETIMEDOUT, ECLOSED, EFORK
function hooks:emit(event, info, options)
  local done = type(options) == "table" and options.done
  if done then return self._results:emit(done, event, info, options, self._clock and self._clock()) end
  return self._engine:emit(event, info, options, self._clock and self._clock())
end

--- Emits an event given as JSON text: { "event": ..., "model": ..., "entry": ... }. Numbers keep their
-- digits, objects their order.
---@param text string
---@param options? table as for emit
---@return string|string[]|nil id
---@return string? message
---@return string? code
function hooks:emit_json(text, options)
  local done = type(options) == "table" and options.done
  if done then return self._results:emit_json(done, text, options, self._clock and self._clock()) end
  return self._engine:emit_json(text, options, self._clock and self._clock())
end

--- Waits until nothing accepted is waiting for a first or due attempt.
---@param seconds? number at most this long (default 60)
---@return true|nil
---@return string? message
---@return string? code ETIMEDOUT
function hooks:wait(seconds)
  return self._engine:wait(seconds)
end

--- Counters since the engine started, and the store's counts: its events, the deliveries ever accepted, and how many of
-- those are waiting, leased and held now or ended as delivered, dead and filtered. They add up to the accepted
-- (store.adds_up says whether). Those that wait are counted one by one: with store = false the store is left out, and the
-- answer costs microseconds however many wait.
---@param options? { store: boolean? }
---@return table|nil
---@return string? message
---@return string? code
function hooks:stats(options)
  return json.answer(self._engine:stats(not options or options.store ~= false))
end

--- Metrics in Prometheus' text format: docs/metrics.md has each. Its cost is bounded, whatever waits.
---@return string|nil text
---@return string? message
---@return string? code
function hooks:metrics()
  return metrics.read(self._engine, moonpost._VERSION)
end

--- Has a function called for each report: webhook.disabled, webhook.failing (its circuit opened), webhook.recovered,
-- delivery.dead. It is called by hooks:poll, on the thread that polls.
---@param pattern string one of these, "webhook.*" or "*"
---@param fn fun(report: { event: string, created_at: string, webhook: { id: string, name: string }, delivery: table?,
-- reason: string?, class: string?, status: integer?, error: string? })
---@return true|nil
---@return string? message
---@return string? code EINVAL
function hooks:on(pattern, fn)
  if type(pattern) ~= "string" or type(fn) ~= "function" then error("hooks:on: expected a pattern and a function", 2) end
  return self._reports:on(pattern, fn)
end

--- Tells what happened since the last poll: first what came of emits with done, then reports to the functions of hooks:on
-- (of this process's engine: another process that uses the store reports to its own host), then lines of the log to the
-- function of moonpost.open. It neither waits nor reads the disk.
---@return integer|nil count results and reports
---@return integer|string missed more than 256 reports came since: so many of the oldest are not told; or the message
---@return string? code
function hooks:poll()
  local told = self._results:poll()
  local count, missed, code = self._reports:poll()
  if not count then return nil, missed, code end
  if self._logs then self._logs:poll() end
  return told + count, missed
end

--- A descriptor for an event loop: readable when there is something for hooks:poll, until it is polled. It is moonpost's: the
-- loop neither reads nor closes it.
---@return integer|nil fd
---@return string? message
---@return string? code
function hooks:fd()
  return self._engine:fd()
end

--- The scripts that are loaded, the global ones first.
---@return moonpost.Script[]|nil
---@return string? message
---@return string? code
function hooks:scripts()
  return json.answer(self._engine:scripts(false))
end

--- Loads all scripts anew. One that cannot be loaded leaves its last good version in place; what a script held is tried again
-- when a new version of it is there. (A file that changed is noticed by itself, within a second or so.)
---@return { loaded: string[], failed: { script: string, error: string }[] }|nil
---@return string? message
---@return string? code
function hooks:reload()
  return json.answer(self._engine:scripts(true))
end

--- Forgets now what is past its age (webhooks.retention), which happens by itself else, a little at a time.
---@param options? { progress: fun(count: integer)? } progress: called after each step
---@return { count: integer }|nil result count: events that were forgotten
---@return string? message
---@return string? code
function hooks:prune(options)
  local count = 0
  repeat
    local step, message, code = json.answer(self._engine:prune())
    if not step then return nil, ("%s (after %d)"):format(message, count), code end
    count = count + step.count
    if options and options.progress then options.progress(count) end
  until not step.more
  return { count = count }
end

--- Stops the engine: what was handed over is committed, requests under way get the given time, the
-- rest waits in the store for the next start. Emits with done that were not told of are told.
---@param seconds? number default 5
---@return true|nil
---@return string? message
---@return string? code ETIMEDOUT: requests were cut off, and will be made again
function hooks:close(seconds)
  local ok, message, code = self._engine:close(seconds)
  if code == "EFORK" then return ok, message, code end
  self._results:close()
  if self._logs then self._logs:close() end
  return ok, message, code
end

--- Seals the secrets of a store with another key. Nothing may have the store open. Where the key is in its file, the new one
-- takes its place there; where it is in MOONPOST_KEY, options.key must be given, and be set there afterwards.
---@param source string|table as for moonpost.open
---@param options? { key: string? } the base64 of 32 bytes; without it one is made
---@return { webhooks: integer, texts: integer }|nil counts what was sealed anew: definitions of webhooks, and header fields of
-- single events
---@return string? message
---@return string? code EINVAL, ENOENT (there is no store), EBUSY (it is open), EKEY (the present key is not the store's;
-- nothing was changed)
function moonpost.rekey(source, options)
  local conf, message, code = config.load(source)
  if not conf then return nil, message, code end
  local count, texts
  count, texts, code = core.rekey(settings.of(conf, moonpost._VERSION), options and options.key)
  if not count then return nil, texts, code end
  return { webhooks = count, texts = texts }
end

--- Compiles models once, for many calls of sanitize.
---@param source string|table a folder's path, a table of settings by name, or Strapi's resolved models
---@param options? { privateAttributes: string[]? } names that are private in every model
---@return userdata|nil
---@return string? message
---@return string? code EINVAL
function moonpost.models(source, options)
  if type(source) == "userdata" then return source end
  local list, message, code = models.compile(source, options)
  if not list then return nil, message, code end
  return core.schema(list)
end

local choices = {
  unknownAttributes = { drop = false, keep = true },
  embeddedUsers = { id = false, keep = true },
}

local function core_options(options)
  local answer = {}
  for name, allowed in pairs(choices) do
    local value = options and options[name]
    if value ~= nil and allowed[value] == nil then
      local words = {}
      for word in pairs(allowed) do words[#words + 1] = '"' .. word .. '"' end
      table.sort(words)
      return nil, ("options.%s: expected %s, got %s"):format(name, table.concat(words, " or "),
        tostring(value)), "EINVAL"
    end
    answer[name] = value ~= nil and allowed[value]
  end
  return { keep_unknown = answer.unknownAttributes, keep_users = answer.embeddedUsers }
end

local function sanitize_with(sanitize, source, uid, value, options)
  local checked, message, code = core_options(options)
  if not checked then return nil, message, code end
  local schema
  schema, message, code = moonpost.models(source, options)
  if not schema then return nil, message, code end
  local text
  text, message, code = sanitize(schema, uid, value, checked)
  if not text then return nil, message, code end
  return text
end

--- The sanitizer alone: a Lua value in, JSON text without private attributes and passwords out.
---@param source string|table|userdata as for moonpost.models, or its result
---@param uid string "application::address.address", or a bare model name where that is unambiguous
---@param value any
---@param options? { unknownAttributes: "drop"|"keep"?, embeddedUsers: "id"|"keep"?, privateAttributes: string[]? }
---@return string|nil json
---@return string? message
---@return string? code EINVAL
function moonpost.sanitize(source, uid, value, options)
  return sanitize_with(core.sanitize, source, uid, value, options)
end

--- As sanitize, for JSON text: numbers keep their digits, objects their order.
---@param source string|table|userdata
---@param uid string
---@param text string
---@param options? table
---@return string|nil json
---@return string? message
---@return string? code EINVAL
function moonpost.sanitize_json(source, uid, text, options)
  return sanitize_with(core.sanitize_json, source, uid, text, options)
end

--- Merges a webhook's header fields over the defaults, as they are sent: case-insensitive, one
-- line a name, X-Strapi-Event and Content-Type forced.
---@param default table|nil a map, or an ordered list of { name, value }
---@param own table|nil likewise
---@param event string
---@return table<string, string>|nil headers
---@return { name: string, value: string }[]|string ordered the same in the order they are sent; or the message
---@return string? code EINVAL
function moonpost.merge_headers(default, own, event)
  return core.merge_headers(default, own, event)
end

moonpost.verify = require "moonpost.verify"

json.register(core, moonpost.array_mt)

return moonpost
