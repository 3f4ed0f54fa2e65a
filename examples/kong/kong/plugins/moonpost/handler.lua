--- moonpost as a Kong plugin: an event for each request, on its way to the disk before the log phase is over, and delivered by
-- moonpost's own threads.
--
-- Kong is nginx with its Lua module: each worker has an engine on the one store. $MOONPOST_CONFIG names the config (name the
-- variable in Kong's nginx_main_env, so that workers see it).
local openresty = require "moonpost.host.openresty"

local Moonpost = {
  PRIORITY = 5, -- after Kong's own loggers
  VERSION = "0.1.0",
}

function Moonpost.init_worker()
  openresty.start(os.getenv "MOONPOST_CONFIG" or "/etc/moonpost/server.lua")
end

local function entry_of()
  local service, route = kong.router.get_service(), kong.router.get_route()
  local consumer = kong.client.get_consumer()
  return {
    method = kong.request.get_method(), path = kong.request.get_path(), status = kong.response.get_status(),
    service = service and (service.name or service.id), route = route and (route.name or route.id),
    consumer = consumer and (consumer.username or consumer.id), client_ip = kong.client.get_forwarded_ip(),
  }
end

-- Nothing can wait here: wait = false hands the event over.
function Moonpost.log(_, conf)
  local status = kong.response.get_status()
  if status < conf.status_from or status > conf.status_to then return end
  local id, message = openresty.emit(conf.event, { entry = entry_of() }, {
    wait = false, headers = { traceparent = kong.request.get_header "traceparent" },
  })
  if not id then kong.log.err("no event: ", message) end
end

return Moonpost
