-- The skeleton of a Kong plugin (examples/kong), against stubs of Kong's PDK and of moonpost's nginx host.
local HANDLER = "examples/kong/kong/plugins/moonpost/handler.lua"
local SCHEMA = "examples/kong/kong/plugins/moonpost/schema.lua"

describe("the Kong plugin", function()
  local started, emitted, errors, status, plugin

  local function get(value)
    return function() return value end
  end

  before_each(function()
    started, emitted, errors, status = {}, {}, {}, 200
    package.loaded["moonpost.host.openresty"] = {
      start = function(source) started[#started + 1] = source end,
      emit = function(...)
        emitted[#emitted + 1] = { ... }
        return "evt_0000000000001"
      end,
    }
    rawset(_G, "kong", {
      router = { get_service = get { name = "shop" }, get_route = get { id = "r1" } },
      client = { get_consumer = get(nil), get_forwarded_ip = get "192.0.2.1" },
      request = { get_method = get "POST", get_path = get "/orders", get_header = function(name) return name .. "-value" end },
      response = { get_status = function() return status end },
      log = { err = function(...) errors[#errors + 1] = table.concat { ... } end },
    })
    plugin = dofile(HANDLER)
  end)

  after_each(function()
    package.loaded["moonpost.host.openresty"] = nil
    rawset(_G, "kong", nil)
  end)

  it("starts moonpost in a worker", function()
    plugin.init_worker()
    assert.same({ os.getenv "MOONPOST_CONFIG" or "/etc/moonpost/server.lua" }, started)
    assert.equal("number", type(plugin.PRIORITY))
  end)

  it("hands an event over for each request, and does not wait", function()
    plugin:log { event = "api.request", status_from = 200, status_to = 299 }
    status = 404
    plugin:log { event = "api.request", status_from = 200, status_to = 299 }
    assert.same({ { "api.request", { entry = {
      method = "POST", path = "/orders", status = 200, service = "shop", route = "r1", client_ip = "192.0.2.1",
    } }, { wait = false, headers = { traceparent = "traceparent-value" } } } }, emitted)
    assert.same({}, errors)
  end)

  it("says why there is no event", function()
    package.loaded["moonpost.host.openresty"].emit = function() return nil, "inbox full", "EAGAIN" end
    plugin:log { event = "api.request", status_from = 200, status_to = 599 }
    assert.same({ "no event: inbox full" }, errors)
  end)

  it("has a schema", function()
    package.loaded["kong.db.schema.typedefs"] = { protocols_http = {} }
    finally(function() package.loaded["kong.db.schema.typedefs"] = nil end)
    local schema = dofile(SCHEMA)
    assert.equal("moonpost", schema.name)
    local names = {}
    for _, field in ipairs(schema.fields[2].config.fields) do names[#names + 1] = (next(field)) end
    assert.same({ "event", "status_from", "status_to" }, names)
    assert.truthy(("api.request"):find(schema.fields[2].config.fields[1].event.match))
  end)
end)
