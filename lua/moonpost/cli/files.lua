--- Files that the command line is given.
local files = {}

-- Bytes: what limits.eventSize may be at most.
local MAX_INPUT = 67108864

--- Reads a file; "-" is standard input.
---@param path string
---@return string|nil text
---@return string? message
---@return string? code EINVAL, EIO, E2BIG
function files.read(path)
  local standard = path == "-"
  local name = standard and "standard input" or path
  local file, message
  if standard then file = io.stdin else file, message = io.open(path, "rb") end
  if not file then return nil, message, "EINVAL" end
  local text
  text, message = file:read(MAX_INPUT + 1)
  if not standard then file:close() end
  if message then return nil, ("%s: %s"):format(name, message), "EIO" end
  text = text or "" -- nil is the end of an empty file
  if #text > MAX_INPUT then return nil, ("%s: expected at most %d bytes"):format(name, MAX_INPUT), "E2BIG" end
  return text
end

return files
