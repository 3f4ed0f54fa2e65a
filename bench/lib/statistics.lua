--- Median, extremes, percentiles.
local statistics = {}

local function sorted(values)
  local copy = {}
  for i, value in ipairs(values) do copy[i] = value end
  table.sort(copy)
  return copy
end

--- The value below which that share (0 to 1) of the values lies: the nearest rank.
function statistics.percentile(values, share)
  local list = sorted(values)
  return list[math.max(1, math.ceil(share * #list))]
end

---@param values number[] at least one
---@return { median: number, min: number, max: number }
function statistics.summary(values)
  local list = sorted(values)
  local middle = (#list + 1) // 2
  local median = #list % 2 == 1 and list[middle] or (list[middle] + list[middle + 1]) / 2
  return { median = median, min = list[1], max = list[#list] }
end

return statistics
