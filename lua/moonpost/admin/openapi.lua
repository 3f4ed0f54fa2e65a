--- openapi.json (OpenAPI 3.1), made of the table of routes and the schemas.
local cookie = require "moonpost.admin.cookie"
local csrf = require "moonpost.admin.csrf"
local mask = require "moonpost.mask"
local ordered_json = require "moonpost.ordered_json"
local schemas = require "moonpost.admin.schemas"

local openapi = {}

local SCOPE_TEXT = { read = "Needs the scope read.", write = "Needs the scope write.", emit = "Needs the scope emit.",
  any = "Needs a token." }

-- What any route may answer: error, and where it can come from.
local COMMON = {
  [400] = { "A parameter or the body is not what it may be.", function() return true end },
  [401] = { "No token, or one that is not known.", function(route) return route.scope end },
  [403] = { "The token has not the scope.", function(route) return route.scope end },
  [404] = { "There is no such thing.", function(route) return route.path:find ":" end },
  [413] = { "The body is too long.", function(route) return route.body end },
  [414] = { "The path or the query is too long.", function() return true end },
  [415] = { "The body's media type is not one of these.", function(route) return route.body end },
  [429] = { "Too many tries with a token that is not known.", function(route) return route.scope end },
  [500] = { "Something is broken.", function() return true end },
  [503] = { "The store does not answer.", function(route) return route.scope end },
  [507] = { "The disk is full.", function(route) return route.method ~= "GET" end },
}

local HEADERS = {
  [401] = { ["WWW-Authenticate"] = "The scheme, Bearer." },
  [429] = { ["Retry-After"] = "Seconds." },
}

local function headers_of(status)
  if not HEADERS[status] then return nil end
  local result = {}
  for name, description in pairs(HEADERS[status]) do
    result[name] = { description = description, schema = { type = "string" } }
  end
  return result
end

-- schema: nil without a body; media: of what is no JSON.
local function answer_of(status, description, schema, media)
  local content = schema and { [media or "application/json"] = { schema = { ["$ref"] = "#/components/schemas/" .. schema } } }
  return { description = description, headers = headers_of(status), content = content }
end

local function answers_of(route)
  local result = {}
  for status, common in pairs(COMMON) do
    if common[2](route) then result[tostring(status)] = answer_of(status, common[1], "Error") end
  end
  for status, own in pairs(route.answers) do result[tostring(status)] = answer_of(status, own[1], own[2], own[3]) end
  return result
end

local function parameters_of(route)
  local result = {}
  for i, parameter in ipairs(route.parameters) do
    result[i] = {
      name = parameter.name, ["in"] = parameter.place, required = parameter.place == "path", schema = parameter.schema,
      description = parameter.description,
    }
  end
  return #result > 0 and mask.list(result) or nil
end

local function body_of(route)
  if not route.body then return nil end
  local content = {}
  for i, type in ipairs(route.body.types) do
    content[type] = { schema = { ["$ref"] = "#/components/schemas/" .. (route.body.schemas[i] or route.body.schemas[1]) } }
  end
  return { required = true, content = content, description = ("At most %d bytes."):format(route.body.most) }
end

-- A token, or a session's cookie; with it, what changes something has the session's csrf too.
local function security_of(route)
  if not route.scope then return mask.list {} end
  local none = mask.list {}
  return mask.list { { bearer = none }, { cookie = none, csrf = route.method ~= "GET" and none or nil } }
end

local function operation(route)
  return {
    operationId = route.id, summary = route.summary, description = SCOPE_TEXT[route.scope], tags = mask.list { route.tag },
    parameters = parameters_of(route), requestBody = body_of(route), responses = answers_of(route),
    security = security_of(route),
  }
end

--- The description as JSON text: the same text for the same API, so that two can be compared.
---@param routes table[]
---@param context table of schemas.all, with version
---@return string
function openapi.text(routes, context)
  local paths = {}
  for _, route in ipairs(routes) do
    local path = route.path:gsub(":(%w+)", "{%1}")
    paths[path] = paths[path] or {}
    paths[path][route.method:lower()] = operation(route)
  end
  return ordered_json {
    openapi = "3.1.0",
    info = { title = "moonpost", version = context.version, description = "Webhooks, deliveries and events of one store. "
      .. "Every path also answers OPTIONS, and where it has GET, HEAD." },
    paths = paths,
    components = {
      schemas = schemas.all(context),
      securitySchemes = {
        bearer = { type = "http", scheme = "bearer", description = "moonpost token add" },
        cookie = { type = "apiKey", ["in"] = "cookie", name = cookie.NAME,
          description = ("Of POST /admin/session. By TLS its name is %s."):format(cookie.SECURE_NAME) },
        csrf = { type = "apiKey", ["in"] = "header", name = csrf.FIELD, description = "The csrf of GET /admin/session." },
      },
    },
  }
end

return openapi
