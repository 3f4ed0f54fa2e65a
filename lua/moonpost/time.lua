--- Points in time that people write: ISO 8601, or seconds since 1970.
local time = {}

-- Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
local function days_from(year, month, day)
  if month <= 2 then year = year - 1 end
  local era = math.floor(year / 400)
  local year_of_era = year - era * 400
  local day_of_year = math.floor((153 * ((month + 9) % 12) + 2) / 5) + day - 1
  local day_of_era = year_of_era * 365 + math.floor(year_of_era / 4) - math.floor(year_of_era / 100) + day_of_year
  return era * 146097 + day_of_era - 719468
end

local MONTH_DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(year, month, day)
  if month < 1 or month > 12 or day < 1 then return false end
  local leap = year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
  return day <= (month == 2 and leap and 29 or MONTH_DAYS[month])
end

local function clock_ms(text)
  if text == "" then return 0 end
  local hour, minute, rest = text:match "^T(%d%d):(%d%d)(.*)$"
  if not hour then return nil end
  local second, fraction, zone = rest:match "^:(%d%d)(%.?%d*)(.*)$"
  if not second then second, fraction, zone = "0", "", rest end
  if fraction == "." or tonumber(hour) > 23 or tonumber(minute) > 59 or tonumber(second) > 59 then return nil end
  local offset = 0
  if zone ~= "Z" then
    local sign, h, m = zone:match "^([+-])(%d%d):(%d%d)$"
    if not sign then return nil end
    offset = (tonumber(h) * 60 + tonumber(m)) * (sign == "+" and 1 or -1)
  end
  return ((tonumber(hour) * 60 + tonumber(minute) - offset) * 60 + tonumber(second)) * 1000
    + math.floor(tonumber("0" .. fraction) * 1000 + 0.5)
end

--- Milliseconds since 1970 of "2026-01-10", "2026-01-10T08:47:36.649Z" (or with an offset such as +01:00), or a number of
-- seconds since 1970.
---@param value any
---@param where string the place in messages
---@return integer|nil
---@return string? message
function time.to_ms(value, where)
  if type(value) == "number" and value == value and math.abs(value) < 1e11 then return math.floor(value * 1000) end
  if type(value) == "string" then
    local year, month, day, rest = value:match "^(%d%d%d%d)-(%d%d)-(%d%d)(.*)$"
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    local clock = year and is_date(year, month, day) and clock_ms(rest)
    if clock then return days_from(year, month, day) * 86400000 + clock end
  end
  return nil, ("%s: expected a time such as 2026-01-10T08:47:36Z, or seconds since 1970, got %s"):format(where,
    type(value) == "string" and "'" .. value .. "'" or type(value) == "number" and tostring(value) or type(value))
end

--- "2026-01-10T08:47:36.649Z".
---@param ms number milliseconds since 1970
---@return string
function time.iso8601(ms)
  local seconds = math.floor(ms / 1000)
  return ("%s.%03dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", seconds), math.floor(ms - seconds * 1000))
end

return time
