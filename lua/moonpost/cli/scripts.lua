--- moonpost scripts and reload.
local output = require "moonpost.cli.output"

local scripts = {}

local function state_of(script)
  if script.paused then return "paused" end
  if script.error then return script.version and "last good" or "broken" end
  return "loaded"
end

local TITLES = { "SCRIPT", "VERSION", "STATE", "", "CALLS", "ERRORS", "CPU A CALL", "WHY" }

local function row_of(script)
  return {
    script.name, script.version or "", state_of(script), script.global and "global" or "",
    ("%d"):format(script.calls), ("%d"):format(script.errors),
    script.calls > 0 and ("%.3f ms"):format(script.cpu_ms / script.calls) or "", script.error or script.last_failure or "",
  }
end

function scripts.list(hooks, args)
  local list, message, code = hooks:scripts()
  if not list then return nil, message, code end
  return output.listing(args, list, TITLES, row_of)
end

--- Has a server load its scripts anew. Where a script cannot be loaded, that is a failure of the command.
---@param hooks table of moonpost.remote
function scripts.reload(hooks, args)
  local result, message, code = hooks:reload()
  if not result then return nil, message, code end
  if args.json then
    output.json { loaded = output.list(result.loaded), failed = output.list(result.failed) }
  else
    for _, name in ipairs(result.loaded) do output.line("loaded " .. name) end
    for _, failed in ipairs(result.failed) do output.line(("not loaded: %s: %s"):format(failed.script, failed.error)) end
  end
  if #result.failed == 0 then return true end
  return nil, ("%d of %d scripts are not loaded; where there was a good version, it stays"):format(#result.failed,
    #result.failed + #result.loaded), "EINVAL"
end

return scripts
