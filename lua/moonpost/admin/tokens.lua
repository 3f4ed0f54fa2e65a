--- Bearer tokens in a JSON file beside the store, mode 0600. The file has the hashes alone: a token is shown once, when it
-- is made.
local core = require "moonpost.core"
local json = require "moonpost.json"
local mask = require "moonpost.mask"
local suggest = require "moonpost.suggest"

local tokens = {}
tokens.__index = tokens
tokens.__name = "moonpost.admin.tokens"

--- What a token may be allowed: to see, to change, to emit events.
tokens.SCOPES = { "read", "write", "emit" }

-- Bytes of a file that is read; how many tokens it may have; bytes of a name; seconds between two looks at the file.
local MAX_FILE, MAX_TOKENS, MAX_NAME, LOOK = 1048576, 1000, 100, 1

local function default_hash(text)
  local hash = core.sha256 and core.sha256(text) or require "moonpost.admin.sha256"(text)
  if #hash ~= 32 then return hash end
  return (hash:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

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
  return setmetatable({ _path = path, _hash = options.hash or default_hash, _clock = options.clock or core.now }, tokens)
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

local function random_token()
  local source = assert(io.open("/dev/urandom", "rb"))
  local bytes = source:read(32)
  source:close()
  assert(bytes and #bytes == 32, "/dev/urandom: expected 32 bytes")
  return "mpt_" .. bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
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
  local token = random_token()
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

-- Takes the same time wherever they differ.
local function same(a, b)
  local difference = math.abs(#a - #b)
  for i = 1, math.min(#a, #b) do difference = difference + math.abs(a:byte(i) - b:byte(i)) end
  return difference == 0
end

--- What a token is allowed. A file that cannot be read allows nothing.
---@param token string
---@return string[]|nil scopes nil: the token is not known
function tokens:check(token)
  local now = self._clock()
  if not self._read_at or now - self._read_at >= LOOK or now < self._read_at then
    self._known, self._read_at = read(self) or {}, now
  end
  local hash, scopes = self._hash(token), nil
  for _, known in ipairs(self._known) do
    if same(known.hash, hash) then scopes = known.scopes end
  end
  return scopes
end

return tokens
