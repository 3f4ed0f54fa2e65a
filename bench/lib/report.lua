--- What is printed: the machine, a table for each case, and what was skipped or failed.
local report = {}

local function short(value)
  local size = math.abs(value)
  if size >= 1e6 then return ("%.2fM"):format(value / 1e6) end
  if size >= 1e5 then return ("%.0fk"):format(value / 1e3) end
  if size >= 1e4 then return ("%.1fk"):format(value / 1e3) end
  if size >= 100 or size == math.floor(size) then return ("%.0f"):format(value) end
  if size >= 1 then return ("%.2f"):format(value) end
  return ("%.3g"):format(value)
end

local function spread(summary)
  if not summary then return "-" end
  return ("%s (%s .. %s)"):format(short(summary.median), short(summary.min), short(summary.max))
end

--- The facts about the machine, one a line.
function report.machine(facts)
  for _, fact in ipairs(facts) do print(("%-10s %s"):format(fact[1], fact[2])) end
end

local COLUMNS = "  %-26s %-7s %-42s %-42s %s"

--- What a case is, and the most that it may take.
function report.begin(name, about, seconds)
  print(("\n%s: %s; at most %d s"):format(name, about, seconds))
  io.stdout:flush()
end

--- One case's table.
---@param rounds integer how many were wanted: fewer are named
function report.case(outcomes, rounds)
  print((COLUMNS:format("", "", "side", "against", "ratio: median (min .. max)")))
  for _, outcome in ipairs(outcomes) do
    if outcome.skipped then print(("  %-26s skipped: %s"):format(outcome.name, outcome.skipped)) end
    if outcome.failed then print(("  %-26s FAILED: %s"):format(outcome.name, outcome.failed)) end
    if outcome.rounds and outcome.rounds < rounds then
      print(("  %-26s only %d of %d rounds in its time"):format(outcome.name, outcome.rounds, rounds))
    end
    for i, row in ipairs(outcome.rows or {}) do
      print(COLUMNS:format(i == 1 and outcome.name or "", row.metric,
        ("%s %s %s"):format(row.side, spread(row.value), row.unit),
        ("%s %s %s"):format(row.against, spread(row.base), row.unit),
        spread(row.ratio) .. (row.ratio and ", " .. row.better .. " is better" or "")))
    end
  end
  io.stdout:flush()
end

return report
