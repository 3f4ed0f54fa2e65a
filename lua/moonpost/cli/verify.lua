--- moonpost verify: is a request what its sender signed?
local moonpost = require "moonpost"
local output = require "moonpost.cli.output"

local function read(path)
  if path == "-" then return io.stdin:read "*a" end
  local file, message = io.open(path, "rb")
  if not file then return nil, message, "ENOENT" end
  local text
  text, message = file:read "*a"
  file:close()
  if not text then return nil, ("%s: %s"):format(path, message), "EIO" end
  return text
end

-- "Name: value" lines; others, such as a request line, are passed over.
local function add_lines(headers, text)
  for line in text:gmatch "[^\r\n]+" do
    local name, value = line:match "^([^:%s]+):[ \t]*(.-)[ \t]*$"
    if name then
      local key = name:lower()
      headers[key] = headers[key] or {}
      table.insert(headers[key], value)
    end
  end
end

--- The secrets of the command line, else of MOONPOST_SECRET, with spaces between them.
---@param args { secret: string[] }
---@return string[]
local function secrets_of(args)
  if #args.secret > 0 then return args.secret end
  local list = {}
  for word in (os.getenv "MOONPOST_SECRET" or ""):gmatch "%S+" do list[#list + 1] = word end
  return list
end

local function run(args)
  local secrets, headers = secrets_of(args), {}
  if #secrets == 0 then return nil, "verify: expected --secret or $MOONPOST_SECRET", "EINVAL" end
  if args.headers == "-" and args.body == "-" then
    return nil, "verify: expected one of --headers and --body from standard input, got both", "EINVAL"
  end
  if args.headers then
    local text, message, code = read(args.headers)
    if not text then return nil, message, code end
    add_lines(headers, text)
  end
  for _, line in ipairs(args.header) do add_lines(headers, line) end
  local body, message, code = read(args.body)
  if not body then return nil, message, code end
  local ok
  ok, message, code = moonpost.verify(secrets, headers, body, { tolerance = args.tolerance, now = args.now })
  if args.json then output.json { ok = ok == true, message = message, code = code } end
  if not ok then return nil, message, code end
  if not args.json then output.line "the signature is right" end
  return true
end

return { run = run, secrets_of = secrets_of }
