--- The routes about the process itself: counts, health, the description of the API.
local answer = require "moonpost.admin.answer"
local metrics = require "moonpost.metrics"

local system = {}

function system.stats(context)
  local stats, message, code = context.hooks:stats()
  if not stats then return answer.failure(message, code) end
  return answer.data(stats)
end

function system.metrics(context)
  local text, message, code = context.hooks:metrics()
  if not text then return answer.failure(message, code) end
  return answer.text(200, text, { ["Content-Type"] = metrics.CONTENT_TYPE })
end

function system.health()
  return answer.json(200, { status = "ok" })
end

--- A look at one row: counting all would be a burden that anyone may cause.
function system.ready(context)
  local list, message, code = context.hooks.deliveries:list { limit = 1 }
  if list then return answer.json(200, { status = "ready" }) end
  return answer.failure(message, code, { status = 503 })
end

function system.openapi(context)
  return answer.text(200, context.description())
end

return system
