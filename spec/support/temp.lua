--- Temporary folders and files. A spec calls temp.clean in its after_each or teardown.
local shell = require "spec.support.shell"

local temp = {}

local made = {}

--- Makes a new empty folder under $TMPDIR or /tmp.
---@return string path
function temp.dir()
  local base = os.getenv("TMPDIR") or "/tmp"
  local output, code = shell.run("mktemp -d " .. shell.quote(base .. "/moonpost-spec.XXXXXX"))
  assert(code == 0, output)
  local path = output:gsub("\n$", "")
  made[path] = true
  return path
end

--- Removes a folder that temp.dir made.
function temp.remove(path)
  assert(made[path], "not a folder of temp.dir: " .. path)
  made[path] = nil
  local output, code = shell.run("rm -rf -- " .. shell.quote(path))
  assert(code == 0, output)
end

--- Removes every folder that temp.dir made.
function temp.clean()
  for path in pairs(made) do
    temp.remove(path)
  end
end

--- The content of a file; nil when it cannot be opened.
function temp.read(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local content = file:read("*a")
  file:close()
  return content
end

--- Writes a file.
---@return string path
function temp.write(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  file:close()
  return path
end

return temp
