--- Near misses for error texts.
local suggest = {}

-- Optimal string alignment distance.
local function distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local d = math.min(last[j - 1] + cost, last[j] + 1, row[j - 1] + 1)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        d = math.min(d, before[j - 2] + 1)
      end
      row[j] = d
    end
    before, last = last, row
  end
  return last[#b]
end

--- "; did you mean 'x'?" for the candidate that is nearest to name, or "" when none is near.
---@param name any
---@param candidates string[]
---@return string
function suggest.near(name, candidates)
  if type(name) ~= "string" or #name > 64 then return "" end
  local limit = math.min(3, math.floor(#name / 3))
  local best, nearest = limit + 1, nil
  for _, candidate in ipairs(candidates) do
    local d = distance(name:lower(), candidate:lower())
    if d < best then best, nearest = d, candidate end
  end
  return nearest and ("; did you mean '%s'?"):format(nearest) or ""
end

--- The keys of a table, sorted.
---@param map table<string, any>
---@return string[]
function suggest.keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

return suggest
