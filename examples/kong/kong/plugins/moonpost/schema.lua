--- The plugin's configuration, on a service, a route or for all of Kong.
local typedefs = require "kong.db.schema.typedefs"

return {
  name = "moonpost",
  fields = {
    { protocols = typedefs.protocols_http },
    { config = {
      type = "record",
      fields = {
        -- One of webhooks.events in moonpost's config.
        { event = { type = "string", required = true, default = "api.request", match = "^[%w_-]+%.[%w_.-]+$" } },
        -- Only answers with at least, and at most, this status.
        { status_from = { type = "integer", default = 200, between = { 100, 599 } } },
        { status_to = { type = "integer", default = 599, between = { 100, 599 } } },
      },
    } },
  },
}
