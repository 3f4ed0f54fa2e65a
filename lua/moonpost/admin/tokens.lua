--- Bearer tokens in a JSON file beside the store, mode 0600. The file has the hashes alone: a token is shown once, when it
-- is made.
local core = require "moonpost.core"
local equal = require "moonpost.admin.equal"
local json = require "moonpost.json"
local mask = require "moonpost.mask"
local random = require "moonpost.admin.random"
local suggest = require "moonpost.suggest"

local tokens = {}
tokens.__index = tokens
tokens.__name = "moonpost.admin.tokens"

--- What a token may be allowed: to see, to change, to emit events.
tokens.SCOPES = { "read", "write", "emit" }

-- Bytes of a file that is read; how many tokens it may have; bytes of a name; seconds between two looks at the file.
local MAX_FILE, MAX_TOKENS, MAX_NAME, LOOK = 1048576, 1000, 100, 1

--- Where a config's tokens are.
---@param config { store: string }
---@return string|nil path
---@return string? message
---@return string? code EINVAL: the store is in memory
function tokens.path(config)
  if config.store == ":memory:" then return nil, "tokens: a store in memory has no place for them", "EINVAL" end
  return config.store .. "-tokens.json"
end

--- The tokens of a file, which need not be there yet.
---@param path string
---@param options? { hash: (fun(text: string): string)?, clock: (fun(): number)? } hash answers SHA-256 in hexadecimal; clock
-- seconds that only grow
---@return table
function tokens.open(path, options)
  options = options or {}
  return setmetatable({ _path = path, _hash = options.hash or core.sha256, _clock = options.clock or core.now }, tokens)
end

local function valid(token)
  if type(token) ~= "table" or type(token.name) ~= "string" or type(token.hash) ~= "string" then return false end
  if not token.hash:find "^%x+$" or #token.hash ~= 64 or type(token.scopes) ~= "table" then return false end
  for _, scope in ipairs(token.scopes) do
    if type(scope) ~= "string" then return false end
  end
  return type(token.created_at) == "string"
end

-- The file's tokens; an empty list without a file. A file that is none of ours is left as it is.
local function read(self)
  if not core.stat(self._path) then return {} end
  local file, message = io.open(self._path, "rb")
  if not file then return nil, message, "EIO" end
  local text = file:read(MAX_FILE + 1) or ""
  file:close()
  local value = #text <= MAX_FILE and core.check_json(text) and json.decode(text)
  local list = type(value) == "table" and value.tokens
  for i = 1, type(list) == "table" and #list or 0 do
    if not valid(list[i]) then list = nil break end
  end
  if type(list) ~= "table" or next(list) ~= nil and #list == 0 then
    return nil, ("%s: expected moonpost's tokens"):format(self._path), "ECORRUPT"
  end
  return list
end

local function write(self, list)
  for _, token in ipairs(list) do mask.list(token.scopes) end
  self._read_at = nil
  return core.write_private(self._path, assert(core.to_json { tokens = mask.list(list) }) .. "\n")
end

local function shown(token)
  local scopes = {}
  for i, scope in ipairs(token.scopes) do scopes[i] = scope end
  return { name = token.name, scopes = mask.list(scopes), created_at = token.created_at }
end

--- All tokens, without what would let anyone in.
---@return { name: string, scopes: string[], created_at: string }[]|nil
---@return string? message
---@return string? code EIO, ECORRUPT
function tokens:list()
  local list, message, code = read(self)
  if not list then return nil, message, code end
  local result = {}
  for i, token in ipairs(list) do result[i] = shown(token) end
  return result
end

-- Each scope once, in the order of SCOPES.
local function checked_scopes(scopes)
  local given, result = {}, {}
  for _, scope in ipairs(scopes) do given[scope] = true end
  for _, scope in ipairs(tokens.SCOPES) do
    if given[scope] then
      result[#result + 1] = scope
      given[scope] = nil
    end
  end
  local unknown = next(given)
  if unknown == nil and #result > 0 then return result end
  return nil, ("scopes: expected some of %s, got %s%s"):format(table.concat(tokens.SCOPES, ", "),
    unknown and ("'%s'"):format(tostring(unknown)) or "none", suggest.near(unknown, tokens.SCOPES))
end

--- Makes a token.
---@param name string which is how it is listed and taken away
---@param scopes string[]
---@return { token: string, name: string, scopes: string[], created_at: string }|nil made the only time that token is shown
---@return string? message
---@return string? code EINVAL, EEXIST, EIO, ECORRUPT
function tokens:add(name, scopes)
  if type(name) ~= "string" or not name:find "^[%w_.@-]+$" or #name > MAX_NAME then
    return nil, ("name: expected 1 to %d letters, digits and . _ @ -"):format(MAX_NAME), "EINVAL"
  end
  local checked, message = checked_scopes(scopes)
  if not checked then return nil, message, "EINVAL" end
  local list, code
  list, message, code = read(self)
  if not list then return nil, message, code end
  if #list >= MAX_TOKENS then return nil, ("expected at most %d tokens"):format(MAX_TOKENS), "EINVAL" end
  for _, other in ipairs(list) do
    if other.name == name then return nil, ("token '%s' is there already"):format(name), "EEXIST" end
  end
  local token = "mpt_" .. random()
  local entry = { name = name, scopes = checked, hash = self._hash(token), created_at = os.date "!%Y-%m-%dT%H:%M:%SZ" }
  list[#list + 1] = entry
  local ok
  ok, message, code = write(self, list)
  if not ok then return nil, message, code end
  local made = shown(entry)
  made.token = token
  return made
end

--- Takes a token away. Servers that use the file notice within a second.
---@param name string
---@return { name: string, scopes: string[], created_at: string }|nil removed
---@return string? message
---@return string? code ENOENT, EIO, ECORRUPT
function tokens:remove(name)
  local list, message, code = read(self)
  if not list then return nil, message, code end
  for i, token in ipairs(list) do
    if token.name == name then
      table.remove(list, i)
      local ok
      ok, message, code = write(self, list)
      if not ok then return nil, message, code end
      return shown(token)
    end
  end
  return nil, ("there is no token '%s'"):format(tostring(name)), "ENOENT"
end

-- The file's tokens as they were at most a second ago. A file that cannot be read has none.
local function current(self)
  local now = self._clock()
  if not self._read_at or now - self._read_at >= LOOK or now < self._read_at then
    self._known, self._read_at = read(self) or {}, now
  end
  return self._known
end

--- What a token is allowed. A file that cannot be read allows nothing.
---@param token string
---@return string[]|nil scopes nil: the token is not known
---@return string? id by which scopes_of knows the token, and which lets nobody in
function tokens:check(token)
  local hash, scopes = self._hash(token), nil
  for _, known in ipairs(current(self)) do
    if equal(known.hash, hash) then scopes = known.scopes end
  end
  return scopes, scopes and hash
end

--- What a token is allowed now, by what check called it.
---@param id string
---@return string[]|nil scopes nil: there is no such token, or no more
---@return string? name
function tokens:scopes_of(id)
  for _, known in ipairs(current(self)) do
    if known.hash == id then return known.scopes, known.name end
  end
end

return tokens
