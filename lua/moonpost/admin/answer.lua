--- Answers: a status, header fields and JSON. Every error has one shape, Strapi's:
--
--   { "statusCode": 404, "error": "Not Found", "message": "webhook.notFound", "code"?: "ENOENT", "data"?: ... }
local core = require "moonpost.core"

local answer = {}

---@class moonpost.admin.Answer
---@field status integer
---@field headers table<string, string>
---@field body string

local REASONS = {
  [400] = "Bad Request", [401] = "Unauthorized", [403] = "Forbidden", [404] = "Not Found", [405] = "Method Not Allowed",
  [409] = "Conflict", [413] = "Content Too Large", [414] = "URI Too Long", [415] = "Unsupported Media Type",
  [422] = "Unprocessable Content", [429] = "Too Many Requests", [500] = "Internal Server Error", [501] = "Not Implemented",
  [503] = "Service Unavailable", [507] = "Insufficient Storage",
}

-- What moonpost's codes are in HTTP. The store's trouble that may pass is 503, a damaged store is 500.
local STATUSES = {
  EINVAL = 400, EPRIVATE = 422, E2BIG = 413, EAGAIN = 429, ENOENT = 404, EROFS = 409, EBUSY = 409, ENOSPC = 507,
  ENOMEM = 503, EIO = 503, ETIMEDOUT = 503, ECLOSED = 503, ECORRUPT = 500, EVERSION = 500, EFORK = 500,
}

-- Seconds after which a try may be made again.
local RETRY_AFTER = { EAGAIN = "1", ENOSPC = "30", ENOMEM = "5", EIO = "5", ETIMEDOUT = "1", ECLOSED = "5" }

--- The reason phrase of an error's status.
---@param status integer
---@return string
function answer.reason(status)
  return REASONS[status] or "Error"
end

--- Answers JSON text as it is.
---@param status integer
---@param text string
---@param headers table<string, string>?
---@return moonpost.admin.Answer
function answer.text(status, text, headers)
  headers = headers or {}
  headers["Content-Type"] = headers["Content-Type"] or "application/json"
  return { status = status, headers = headers, body = text }
end

--- Answers a value as JSON.
---@param status integer
---@param value table
---@param headers table<string, string>?
---@return moonpost.admin.Answer
function answer.json(status, value, headers)
  return answer.text(status, assert(core.to_json(value)), headers)
end

--- Answers { data = value }.
---@param value any
---@param status integer? default 200
---@return moonpost.admin.Answer
function answer.data(value, status)
  return answer.json(status or 200, { data = value })
end

-- Messages quote what came, which need not be UTF-8; and what quotes may cut it in the middle.
local function clean(text)
  if core.to_json(text) then return text end
  return (text:gsub("[\128-\255]", "?"))
end

--- Answers an error.
---@param status integer
---@param message string
---@param more? { code: string?, data: table?, headers: table<string, string>? }
---@return moonpost.admin.Answer
function answer.error(status, message, more)
  more = more or {}
  return answer.json(status, {
    statusCode = status, error = answer.reason(status), message = clean(message), code = more.code, data = more.data,
  }, more.headers)
end

--- Answers what a call of moonpost failed with.
---@param message string
---@param code string
---@param more? { data: table?, status: integer? } status: where the code's own is not apt
---@return moonpost.admin.Answer
function answer.failure(message, code, more)
  local status = more and more.status or STATUSES[code] or 500
  return answer.error(status, message, {
    code = code, data = more and more.data, headers = { ["Retry-After"] = RETRY_AFTER[code] },
  })
end

return answer
