--- Reads what callgrind wrote: the instructions spent in this project's own functions, by source file.
local callgrind = {}

-- Files and functions are named once, "(3) path", and then "(3)".
local function name_of(names, text)
  local id, name = text:match "^%((%d+)%)%s*(.*)$"
  if not id then return text end
  if name ~= "" then names[id] = name end
  return names[id]
end

local FILE = { fl = true, fi = true, fe = true }
local CALLED_FILE = { cfi = true, cfl = true }

-- The lines of a function's text: from the one that begins with its definition to the next closing brace.
local function lines_of(path, name)
  local number, first = 0, nil
  for line in io.lines(path) do
    number = number + 1
    if not first and line:find("^%w[^;]*%f[%w_]" .. name .. "%([^;]*$") then first = number end
    if first and line:find "^}" then return first, number end
  end
  error(("%s has no function %s"):format(path, name))
end

-- For each function that is left out, by its source file's full path: the lines of its text. A file's own name stands for
-- all of it.
local function left_out(without, part)
  local known = {}
  return function(file)
    if not known[file] then
      local ranges, at = {}, file:find(part, 1, true)
      for _, place in ipairs(without or {}) do
        local name, func = place:match "^([^:]+):?(.*)$"
        if at and file:sub(at + #part) == name then
          ranges[#ranges + 1] = func == "" and { 0, math.huge } or { lines_of(file, func) }
        end
      end
      known[file] = ranges
    end
    return known[file]
  end
end

--- Instructions of the lines whose source file's path has the part; what they call is counted where it is. Lines that
-- were inlined count for the file that they stand in. Callgrind must have run with --compress-pos=no.
---@param path string callgrind's output
---@param part string "/csrc/"
---@param without string[]? what is left out, such as a loop that waits: "folder/file.c", or "folder/file.c:function" for a
-- function's own lines
---@return table<string, number> instructions by source file: its path from the part on
function callgrind.own(path, part, without)
  local files, by_file, ranges_of = {}, {}, left_out(without, part)
  local current, ranges, skip
  local function out(number)
    for _, range in ipairs(ranges) do
      if number >= range[1] and number <= range[2] then return true end
    end
  end
  for line in io.lines(path) do
    local key, value = line:match "^(%a+)=(.*)$"
    if FILE[key] then
      local file = name_of(files, value)
      local at = file:find(part, 1, true)
      current, ranges = at and file:sub(at + #part), ranges_of(file)
    elseif CALLED_FILE[key] then
      name_of(files, value)
    elseif key == "calls" then
      skip = true -- the next line is the cost of what was called
    elseif current and line:find "^%d" then
      local number, cost = line:match "^(%d+)%s+(%d+)"
      if number and not skip and not out(tonumber(number)) then
        by_file[current] = (by_file[current] or 0) + tonumber(cost)
      end
      skip = false
    elseif line:find "^%d" then
      skip = false
    end
  end
  return by_file
end

return callgrind
