--- Are two secrets the same? Takes the same time wherever they differ.
---@param a string
---@param b string
---@return boolean
return function(a, b)
  local difference = math.abs(#a - #b)
  for i = 1, math.min(#a, #b) do difference = difference + math.abs(a:byte(i) - b:byte(i)) end
  return difference == 0
end
