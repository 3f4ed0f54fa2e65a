--- Where the built programs are, and which interpreter runs the specs.
local paths = {}

-- The command line's first word; nginx has none.
local function running_interpreter()
  local arguments = rawget(_G, "arg") or {}
  local first = 0
  while arguments[first - 1] do
    first = first - 1
  end
  if first < 0 then
    return arguments[first]
  end
  return rawget(_G, "jit") and "luajit" or "lua5.4"
end

--- The build folder: $MOONPOST_BUILD, or "build".
paths.build = os.getenv("MOONPOST_BUILD") or "build"

--- The test receiver (csrc/test/receiver).
paths.receiver = paths.build .. "/receiver"

--- The interpreter that runs this.
paths.interpreter = running_interpreter()

return paths
