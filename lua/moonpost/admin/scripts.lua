--- The routes of scripts: look, load anew.
local answer = require "moonpost.admin.answer"
local mask = require "moonpost.mask"

local scripts = {}

function scripts.list(context)
  local list, message, code = context.hooks:scripts()
  if not list then return answer.failure(message, code) end
  return answer.data(mask.list(list))
end

--- A script that cannot be loaded is no failure of the request.
function scripts.reload(context)
  local result, message, code = context.hooks:reload()
  if not result then return answer.failure(message, code) end
  return answer.data { loaded = mask.list(result.loaded), failed = mask.list(result.failed) }
end

return scripts
