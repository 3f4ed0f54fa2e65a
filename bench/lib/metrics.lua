--- The figures that a side's result has. A ratio is always the first side's over the second's.
local metrics = {}

--- Requests a second.
metrics.rate = {
  name = "rate", unit = "/s", better = "higher",
  of = function(result) return result.requests / result.seconds end,
}

--- CPU that the side's process used for a request, the sink's not counted.
metrics.cpu = {
  name = "cpu", unit = "us", better = "lower",
  of = function(result) return result.cpu_seconds / result.requests * 1e6 end,
}

--- A figure that the side reports itself.
function metrics.field(name, unit, better, label)
  return { name = label or name, unit = unit, better = better, of = function(result) return result[name] end }
end

return metrics
