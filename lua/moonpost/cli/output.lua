--- What the commands print: aligned tables for people, JSON for programs.
local core = require "moonpost.core"

local output = {}

local list_mt = { __jsontype = "array" }

--- Marks a list, so that an empty one is [] in JSON.
function output.list(items)
  return setmetatable(items, list_mt)
end

--- Prints a value as one line of JSON.
function output.json(value)
  io.stdout:write(assert(core.to_json(value)), "\n")
end

--- Prints rows under their titles, each column as wide as it needs.
---@param titles string[]
---@param rows string[][]
function output.table(titles, rows)
  local widths = {}
  local function measure(row)
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, #cell) end
  end
  measure(titles)
  for _, row in ipairs(rows) do measure(row) end
  local function line(row)
    local cells = {}
    for i, cell in ipairs(row) do cells[i] = i < #row and cell .. (" "):rep(widths[i] - #cell) or cell end
    io.stdout:write(table.concat(cells, "  "), "\n")
  end
  line(titles)
  for _, row in ipairs(rows) do line(row) end
end

--- Prints "name  value" lines, names in the given order.
---@param pairs_list { [1]: string, [2]: any }[] nil values are left out
function output.fields(pairs_list)
  local width = 0
  for _, pair in ipairs(pairs_list) do width = math.max(width, #pair[1]) end
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then
      io.stdout:write(pair[1], (" "):rep(width - #pair[1] + 2), tostring(pair[2]), "\n")
    end
  end
end

--- A header value that is not for everybody's eyes.
function output.masked(value)
  return #value > 8 and value:sub(1, 2) .. "****" or "****"
end

--- Milliseconds for people.
function output.duration(ms)
  return ms and ("%.1f ms"):format(ms) or ""
end

return output
