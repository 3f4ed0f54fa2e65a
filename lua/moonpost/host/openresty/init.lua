--- moonpost in nginx with its Lua module (OpenResty): each worker has an engine on the one store.
--
--   init_worker_by_lua_block { require("moonpost.host.openresty").start("/etc/moonpost/server.lua") }
--   exit_worker_by_lua_block { require("moonpost.host.openresty").stop() }
--   ... require("moonpost.host.openresty").emit("entry.create", { model = "address", entry = entry })
local config = require "moonpost.config"
local ffi = require "ffi"
local http = require "moonpost.host.openresty.http"
local moonpost = require "moonpost"
local waiter = require "moonpost.host.openresty.waiter"

ffi.cdef "int setenv(const char *, const char *, int);"

local openresty = {}

-- Phases in which a light thread may sleep.
local SLEEPS = {
  server_rewrite = true, rewrite = true, access = true, content = true, timer = true, ssl_client_hello = true, ssl_cert = true,
  ssl_session_fetch = true,
}
-- Seconds between two tries to start; between two looks for reports.
local AGAIN, LOOK = 5, 1
-- Seconds that requests under way have when a worker ends: told to finish what it does, or to end at once (its master kills it
-- a second and a half later).
local GRACE, SHORT_GRACE = 5, 0.5
-- With lua_code_cache off each request has a Lua state of its own, which knows of start by this.
local STARTED = "MOONPOST_OPENRESTY"

-- Of this Lua state: source, log (where its lines go; nil: standard error), hooks (a moonpost.Hooks whose emit sleeps), content
-- (the HTTP API), message and code (it did not start).
local state = {}

-- ---- hooks ------------------------------------------------------------------------------------------

-- The options are the core's to check.
local function emit(self, method, options, ...)
  local given = type(options) == "table" and options or {}
  if given.done then return self._waiter:emit(method, given.done, ...) end
  if given.wait == false then return self._plain[method](self._plain, ...) end
  local phase = ngx.get_phase()
  if not SLEEPS[phase] then
    error(("moonpost: %s waits for the disk, and %s cannot wait: pass { wait = false } or { done = ... }"):format(method, phase), 3)
  end
  return self._waiter:wait(method, ...)
end

-- Methods of the engine's handle that do not wait, or that the waiter calls itself.
local AT_ONCE = {
  emit = true, emit_json = true, wait = true, reports = true, close = true, fd = true, take = true, listen = true, accept = true,
  ask = true,
}
-- Seconds that a trigger may take: the longest timeout that a webhook can have, and what is around it.
local TRIGGER = 660

-- Stands for the handle: what waits lets the light thread sleep, where it may sleep.
local function sleeping_engine(hooks, asking)
  local engine = hooks._engine
  return setmetatable({}, { __index = function(proxy, name)
    local seconds = name == "trigger" and TRIGGER or hooks.config.limits.emitTimeout
    local function method(_, ...)
      if AT_ONCE[name] or not SLEEPS[ngx.get_phase()] then return engine[name](engine, ...) end
      return asking:ask(name, seconds, ...)
    end
    proxy[name] = method
    return method
  end })
end

-- A moonpost.Hooks that puts the light thread to sleep, and whose reports come by themselves.
local methods = {}

function methods:emit(event, info, options)
  return emit(self, "emit", options, event, info, options)
end

function methods:emit_json(text, options)
  return emit(self, "emit_json", options, text, options)
end

-- Has a timer poll, for what comes without an emit.
local function look(self)
  if self._looks then return true end
  local message
  self._looks, message = ngx.timer.every(LOOK, function() self._waiter:poll() end)
  if not self._looks then return nil, "no timer: " .. message, "EAGAIN" end
  return true
end

function methods:on(pattern, fn)
  local ok, message, code = self._plain:on(pattern, fn)
  if not ok then return nil, message, code end
  return look(self)
end

local function sleeping(hooks)
  local asking = waiter.new(hooks)
  local self = setmetatable({ _plain = hooks, _waiter = asking }, {
    __name = "moonpost.hooks", __index = function(_, key) return methods[key] or hooks[key] end,
  })
  return self:_use(sleeping_engine(hooks, asking))
end

-- ---- starting ---------------------------------------------------------------------------------------

local LEVELS = { error = ngx.ERR, warn = ngx.WARN, info = ngx.INFO, debug = ngx.DEBUG }

local function to_nginx(level, line)
  ngx.log(LEVELS[level], line)
end

local function open()
  local hooks, message, code = moonpost.open(state.source, { log = state.log, give_way = true })
  if not hooks then
    state.message, state.code = message, code
    return nil, message, code
  end
  state.hooks, state.message, state.code = sleeping(hooks), nil, nil
  if state.log then
    local ok
    ok, message = look(state.hooks)
    if not ok then ngx.log(ngx.ERR, "moonpost: the log comes late: ", message) end
  end
  return true
end

-- What keeps a store from opening may pass: a disk that is not mounted yet, a folder that is not ours yet.
local function open_again(premature)
  if premature or state.hooks or not state.source then return end
  local before = state.message
  local ok, message = open()
  if ok then
    ngx.log(ngx.NOTICE, "moonpost: started")
    return
  end
  if message ~= before then ngx.log(ngx.ERR, "moonpost: not started: ", message) end
  ngx.timer.at(AGAIN, open_again)
end

-- In the privileged agent, as root, an engine would make files that the workers cannot use.
local function is_worker()
  local kind = require("ngx.process").type()
  return kind == "worker" or kind == "single"
end

--- Checks a config, without a store: in init_by_lua* it keeps an nginx from starting, and from being reloaded, with one that is
-- wrong. Raises what is wrong.
---@param source string|table as for start
function openresty.check(source)
  local loaded, message = config.load(source)
  if not loaded then error("moonpost: " .. message, 0) end
end

--- Opens moonpost in a worker: call it in init_worker_by_lua. When that fails the error is logged, and it is tried again every
-- five seconds. In a process that is no worker (the privileged agent) it does nothing.
---@param source string|table as for moonpost.open; with lua_code_cache off: a path
---@param options? { log: false|fun(level: string, line: string, fields: table)? } log: as for moonpost.open; without it lines go
-- to nginx's error log, within a second and where its level lets them; false: to standard error, as they are
---@return boolean|nil started false: not a worker
---@return string? message
---@return string? code
function openresty.start(source, options)
  local phase = ngx.get_phase()
  if phase == "init" then
    error("moonpost: start belongs in init_worker_by_lua*: an engine of the master process does not outlive the fork", 2)
  end
  if not is_worker() then return false end
  if state.hooks then return true end
  state.source, state.log = source, to_nginx
  if options and options.log ~= nil then state.log = options.log or nil end
  if type(source) == "string" then
    ffi.C.setenv(STARTED, ("%d:%s"):format(ngx.worker.pid(), source), 1)
  end
  local ok, message, code = open()
  if not ok then
    ngx.log(ngx.ERR, "moonpost: not started: ", message)
    ngx.timer.at(AGAIN, open_again)
  end
  return ok, message, code
end

-- The path that start was called with in another Lua state of this worker.
local function started_elsewhere()
  local pid, path = (os.getenv(STARTED) or ""):match "^(%d+):(.*)$"
  return tonumber(pid) == ngx.worker.pid() and path or nil
end

--- The worker's moonpost. It is as moonpost.open answers it, but calls let the light thread sleep instead of blocking the worker,
-- and functions of hooks:on are called without a poll. In phases that cannot sleep calls other than emits block the worker; so does
-- hooks:wait everywhere.
---@return moonpost.Hooks|nil
---@return string? message
---@return string? code ECLOSED: it did not start, or was stopped
function openresty.hooks()
  if state.hooks then return state.hooks end
  if not state.source then
    state.source = started_elsewhere()
    if state.source and open() then return state.hooks end
  end
  if not state.message then
    return nil, "moonpost is not started: call require(\"moonpost.host.openresty\").start(...) in init_worker_by_lua*", "ECLOSED"
  end
  return nil, "moonpost is not started: " .. state.message, "ECLOSED"
end

--- Stops the worker's engine: call it in exit_worker_by_lua. What it has not sent stays in the store for the other workers.
---@param seconds? number for requests under way; default 5, or 0.5 when nginx ends at once
---@return true|nil
---@return string? message
---@return string? code ETIMEDOUT: requests were cut off, and will be made again
function openresty.stop(seconds)
  local hooks = state.hooks
  state = {}
  ffi.C.setenv(STARTED, "", 1)
  if not hooks then return true end
  return hooks:close(seconds or ngx.worker.exiting() and GRACE or SHORT_GRACE)
end

-- ---- using ------------------------------------------------------------------------------------------

--- Emits an event. The light thread sleeps until the event is on disk; the worker goes on. In phases that cannot sleep (set,
-- header_filter, body_filter, log, balancer, init_worker) options.wait = false or options.done is needed; done is called from a timer.
---@param event string
---@param info table as for hooks:emit
---@param options? table as for hooks:emit
---@return string|string[]|nil id
---@return string? message
---@return string? code
function openresty.emit(event, info, options)
  local hooks, message, code = openresty.hooks()
  if not hooks then return nil, message, code end
  return emit(hooks, "emit", options, event, info, options)
end

--- As emit, for JSON text.
function openresty.emit_json(text, options)
  local hooks, message, code = openresty.hooks()
  if not hooks then return nil, message, code end
  return emit(hooks, "emit_json", options, text, options)
end

--- Answers the request with the HTTP API (docs/api.md): call it in content_by_lua. All calls have the options of the first.
---@param options? table as for moonpost.admin.new, and prefix: what the location adds before the API's paths; scheme: "https" where
-- a proxy in front of nginx ends TLS (else it is what nginx itself speaks)
function openresty.content(options)
  local hooks, message = openresty.hooks()
  if not hooks then return http.unavailable(message) end
  state.content = state.content or http.new(hooks, options)
  return state.content:answer()
end

return openresty
