--- What the commands print: aligned tables for people, JSON for programs.
local core = require "moonpost.core"
local mask = require "moonpost.mask"

local output = {}

local failure -- why the first failed write failed

local function note(ok, message)
  if not ok then failure = failure or "standard output: " .. message end
end

local function write(text)
  note(io.stdout:write(text))
end

--- Marks a list, so that an empty one is [] in JSON.
output.list = mask.list

-- Names, entries and what receivers answer are other people's text: nothing in them may steer a terminal. The second
-- pattern is C1 (U+0080 to U+009F) in UTF-8.
local function visible(text)
  local function escaped(bytes)
    return (bytes:gsub(".", function(byte) return ("\\x%02x"):format(byte:byte()) end))
  end
  return (text:gsub("[%c]", escaped):gsub("\194[\128-\159]", escaped))
end

output.visible = visible

output.RED = "\27[31m"
local PLAIN = "\27[0m"

local function is_terminal(fd)
  local ok, _, code = os.execute(("test -t %d"):format(fd)) -- 5.1 answers the status alone
  return ok == true and (code or 0) == 0 or ok == 0
end

local function colours(choice)
  if choice == "always" then return true end
  if choice == "never" or os.getenv "NO_COLOR" then return false end
  return is_terminal(1)
end

--- Counts on standard error while something takes its time, where that is a terminal.
---@param format string of the count
---@return fun(count: integer|nil) show nil: the line goes
function output.progress(format)
  if not is_terminal(2) then return function() end end
  return function(count)
    io.stderr:write("\r\27[K", count and format:format(count) or "")
    io.stderr:flush()
  end
end

--- A function that makes text visible and gives it a colour, where colours are wanted.
---@param choice "auto"|"always"|"never" auto: on a terminal
---@return fun(colour: string, text: string): string
function output.painter(choice)
  local wanted = colours(choice)
  return function(colour, text)
    text = visible(text)
    return wanted and colour ~= "" and colour .. text .. PLAIN or text
  end
end

--- Prints text as it is: what others wrote in it was made visible before.
output.raw = write

--- Prints a line for people.
function output.line(text)
  write(visible(text) .. "\n")
end

--- Prints a value as one line of JSON.
function output.json(value)
  write(assert(core.to_json(value)) .. "\n")
end

--- Hands all that was printed to the system.
---@return true|nil
---@return string? message
---@return string? code EIO: some of it was lost
function output.flush()
  note(io.stdout:flush())
  if failure then return nil, failure, "EIO" end
  return true
end

-- Characters, not bytes, so that columns of UTF-8 line up.
local function width_of(text)
  local _, continued = text:gsub("[\128-\191]", "")
  return #text - continued
end

--- Prints rows under their titles, each column as wide as it needs.
---@param titles string[]
---@param rows string[][]
function output.table(titles, rows)
  local widths = {}
  local function measure(row)
    for i, cell in ipairs(row) do widths[i] = math.max(widths[i] or 0, width_of(visible(cell))) end
  end
  measure(titles)
  for _, row in ipairs(rows) do measure(row) end
  local function line(row)
    local cells = {}
    for i, cell in ipairs(row) do
      cells[i] = i < #row and cell .. (" "):rep(widths[i] - width_of(visible(cell))) or cell
    end
    output.line(table.concat(cells, "  "))
  end
  line(titles)
  for _, row in ipairs(rows) do line(row) end
end

--- Prints a list: with --json as it is, else as a table.
---@param args { json: boolean? }
---@param list table[]
---@param titles string[]
---@param row_of fun(item: table): string[]
---@return true
function output.listing(args, list, titles, row_of)
  if args.json then
    output.json(output.list(list))
    return true
  end
  local rows = {}
  for i, item in ipairs(list) do rows[i] = row_of(item) end
  output.table(titles, rows)
  return true
end

--- Prints "name  value" lines, names in the given order.
---@param pairs_list { [1]: string, [2]: any }[] nil values are left out
function output.fields(pairs_list)
  local width = 0
  for _, pair in ipairs(pairs_list) do width = math.max(width, #pair[1]) end
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then
      output.line(pair[1] .. (" "):rep(width - #pair[1] + 2) .. tostring(pair[2]))
    end
  end
end

--- Milliseconds for people.
function output.duration(ms)
  return ms and ("%.1f ms"):format(ms) or ""
end

return output
