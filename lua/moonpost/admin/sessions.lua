--- Sessions of the admin page: each is a file in a folder beside the store, so every worker knows it, it outlives them, and
-- signing out ends it for all. A file's name has when it ends and the hash of what the cookie has, its text the hash of the token
-- that signed in: who reads the folder can sign in nowhere.
local core = require "moonpost.core"
local random = require "moonpost.admin.random"

local sessions = {}
sessions.__index = sessions
sessions.__name = "moonpost.admin.sessions"

--- Seconds that a session lasts, used or not.
sessions.LIFE = 43200

-- How many there may be; then the oldest ends.
local MAX_SESSIONS = 1000

--- Where a config's sessions are.
---@param config { store: string }
---@return string|nil path nil: the store is in memory
function sessions.path(config)
  return config.store ~= ":memory:" and config.store .. "-sessions" or nil
end

--- The sessions of a folder, which need not be there yet.
---@param path string
---@param options? { clock: (fun(): number)? } clock: seconds since 1970
---@return table
function sessions.open(path, options)
  return setmetatable({ _path = path, _clock = options and options.clock or os.time }, sessions)
end

-- A value is when it ends and 32 random bytes; anything else names no file.
local function file_of(self, value)
  local ends = value:match("^(%d%d%d%d%d%d%d%d%d%d)%-" .. ("%x"):rep(64) .. "$")
  if not ends then return nil end
  return ("%s/%s-%s"):format(self._path, ends, core.sha256(value)), tonumber(ends)
end

-- Takes away what is over, what a crash left half written, and the oldest when there is no room for one more.
local function prune(self)
  local entries, message, code = core.listdir(self._path)
  if not entries then return nil, message, code end
  local kept, now = {}, self._clock()
  for _, entry in ipairs(entries) do
    local ends = tonumber(entry.name:match "^(%d+)%-%x+" or "")
    if ends and ends <= now then
      os.remove(self._path .. "/" .. entry.name)
    elseif ends then
      kept[#kept + 1] = entry.name
    end
  end
  table.sort(kept)
  for i = 1, #kept - MAX_SESSIONS + 1 do os.remove(self._path .. "/" .. kept[i]) end
  return true
end

-- What a request by the session has to show besides the cookie; it says nothing of the cookie's value.
local function csrf_of(value)
  return core.sha256("moonpost csrf " .. value)
end

--- Begins a session.
---@param token string what tokens:check called the token
---@return { value: string, csrf: string, ends: integer }|nil session value: of the cookie; ends: seconds since 1970
---@return string? message
---@return string? code of the file system
function sessions:start(token)
  local ok, message, code = core.mkdir(self._path, true)
  if not ok and code ~= "EEXIST" then return nil, message, code end
  ok, message, code = prune(self)
  if not ok then return nil, message, code end
  local ends = self._clock() + sessions.LIFE
  local value = ("%010d-%s"):format(ends, random())
  ok, message, code = core.write_private(file_of(self, value), token)
  if not ok then return nil, message, code end
  return { value = value, csrf = csrf_of(value), ends = ends }
end

--- The session of a cookie.
---@param value string
---@return { token: string, csrf: string, ends: integer }|nil session nil: there is none, or it is over
function sessions:find(value)
  local path, ends = file_of(self, value)
  if not path or ends <= self._clock() then return nil end
  local file = io.open(path, "rb")
  if not file then return nil end
  local token = file:read(256)
  file:close()
  return token and { token = token, csrf = csrf_of(value), ends = ends }
end

--- Ends a session; one that is none already is.
---@param value string
function sessions:finish(value)
  local path = file_of(self, value)
  if path then os.remove(path) end
end

return sessions
