--- Opens moonpost for a spec: a store in a temporary folder, two models, quick retries.
local moonpost = require "moonpost"
local temp = require "spec.support.temp"

local hooks = {}

hooks.models = {
  address = {
    attributes = {
      city = { type = "string" },
      postal_code = { type = "string" },
      rating = { type = "decimal" },
      geolocation = { type = "json" },
      images = { collection = "file", plugin = "upload" },
      notes = { type = "text", private = true },
      door_code = { type = "password" },
      owner = { model = "user", plugin = "users-permissions" },
    },
  },
  article = {
    options = { draftAndPublish = true },
    attributes = { title = { type = "string" }, comment = { type = "string", private = true } },
  },
}

local function merge(to, from)
  for key, value in pairs(from or {}) do
    if type(value) == "table" and type(to[key]) == "table" and type(next(value)) == "string" then
      merge(to[key], value)
    else
      to[key] = value
    end
  end
  return to
end

--- The config table of a spec; extra is laid over it.
function hooks.config(extra)
  return {
    webhooks = merge({
      store = temp.dir() .. "/moonpost.db",
      models = hooks.models,
      delivery = { retrySchedule = { 0.05, 0.05, 0.05 }, timeout = 5, connectTimeout = 2 },
      network = { allow = { "127.0.0.0/8", "::1", "localhost" } },
      log = { level = "off" },
    }, extra),
  }
end

--- Opens moonpost with hooks.config(extra).
---@return moonpost.Hooks
function hooks.open(extra, options)
  return assert(moonpost.open(hooks.config(extra), options))
end

--- Makes a webhook of these fields; more is laid over them.
---@return table webhook
function hooks.create(opened, fields, more)
  for name, value in pairs(more or {}) do fields[name] = value end
  return assert(opened.webhooks:create(fields))
end

--- The end of a test: closes moonpost, if it is open, and stops the receiver, if there is one; temporary folders are removed.
function hooks.done(opened, receiver)
  if opened then opened:close(0) end
  if receiver then receiver:stop() end
  temp.clean()
end

return hooks
