--- moonpost init, check and rekey: start no engine.
local check_scripts = require "moonpost.cli.script_check"
local config = require "moonpost.config"
local core = require "moonpost.core"
local moonpost = require "moonpost"
local output = require "moonpost.cli.output"
local tls = require "moonpost.tls"
local templates = require "moonpost.cli.templates"

local project = {}

local function make_folder(path)
  local stat = core.stat(path)
  if stat and stat.type == "directory" then return true end
  return core.mkdir(path)
end

local function existing(dir)
  local found = {}
  for _, file in ipairs(templates) do
    if core.stat(dir .. "/" .. file.path) then found[#found + 1] = dir .. "/" .. file.path end
  end
  return found
end

function project.init(args)
  local dir = args.dir
  local found = existing(dir)
  if #found > 0 then
    return nil, ("%s: already there, nothing was written"):format(table.concat(found, ", ")), "EEXIST"
  end
  for _, folder in ipairs { "", "/config", "/data", "/hooks", "/hooks/lib", "/models" } do
    local ok, message, code = make_folder(dir .. folder)
    if not ok then return nil, message, code end
  end
  local written = output.list {}
  for _, template in ipairs(templates) do
    local path = dir .. "/" .. template.path
    local file, message = io.open(path, "wb")
    if not file then return nil, message, "EIO" end
    local ok
    ok, message = file:write(template.text)
    file:close()
    if not ok then return nil, ("%s: %s"):format(path, message), "EIO" end
    written[#written + 1] = path
  end
  if args.json then
    output.json { written = written }
  else
    for _, path in ipairs(written) do output.line("wrote " .. path) end
    output.line(("next: moonpost check %s/config/server.lua"):format(dir))
  end
  return true
end

function project.check(args)
  local loaded, message, code = config.load(args.file)
  if not loaded then return nil, message, code end
  local scripts
  scripts, message, code = check_scripts(loaded)
  if not scripts then return nil, message, code end
  if args.json then
    output.json {
      ok = true, scripts = output.list(scripts), file = loaded.file, store = loaded.store, models = #loaded.schema_list,
      endpoints = #loaded.endpoints, events = output.list(loaded.event_list),
    }
  else
    for _, line in ipairs(config.describe(loaded)) do output.line(line) end
    for _, endpoint in ipairs(loaded.endpoints) do
      local warning = tls.warning(endpoint)
      if warning then output.raw(output.painter "auto"(output.RED, warning) .. "\n") end
    end
    for _, script in ipairs(scripts) do output.line(("script          %s@%s"):format(script.name, script.version)) end
    output.line "ok"
  end
  return true
end

function project.rekey(args)
  local result, message, code = moonpost.rekey(args.config or os.getenv "MOONPOST_CONFIG" or "config/server.lua",
    { key = os.getenv "MOONPOST_NEW_KEY" })
  if not result then return nil, message, code end
  if args.json then
    output.json(result)
  else
    output.line(("sealed anew: %d webhooks, and the header fields of %d events"):format(result.webhooks, result.texts))
    if os.getenv "MOONPOST_KEY" then output.line "from now on MOONPOST_KEY must be what MOONPOST_NEW_KEY is" end
  end
  return true
end

return project
