-- The bench's driver: runs the cases one after the other, prints a table for each, and writes build/bench/results.json.
-- It is started by scripts/bench.sh, in the repository's root.
--
--   CASE     the cases to run, names with spaces between (default: all)
--   ROUNDS   how often each side runs (default 5)
--   QUICK=1  small sizes and one round: does everything work? Its figures mean nothing.
local cjson = require "cjson"
local context = require "bench.lib.context"
local machine = require "bench.lib.machine"
local process = require "bench.lib.process"
local report = require "bench.lib.report"
local runner = require "bench.lib.runner"

-- In the order in which they run.
local CASES = {
  "emit", "in_memory", "durable", "peers", "strapi", "fan_out", "bodies", "sink_latency", "added_latency", "idle",
  "isolation", "backlog", "scripts", "nginx", "tls",
}

local function environment(name)
  local value = os.getenv(name)
  return value ~= "" and value or nil
end

local function chosen()
  local known, list = {}, {}
  for _, name in ipairs(CASES) do known[name] = true end
  for name in (environment "CASE" or table.concat(CASES, " ")):gmatch "[^%s,]+" do
    if not known[name] then
      io.stderr:write(("CASE: no case '%s' (there are: %s)\n"):format(name, table.concat(CASES, ", ")))
      os.exit(2)
    end
    list[#list + 1] = name
  end
  return list
end

local function tell(text)
  if environment "VERBOSE" then io.stderr:write("  ", text, "\n") end
end

local function run_case(name, bench)
  local case = require("bench.cases." .. name)
  local variants, outcomes, limit = case.variants(bench), {}, 0
  for _, variant in ipairs(variants) do limit = limit + runner.limit(variant) end
  report.begin(name, case.about, limit)
  for i, variant in ipairs(variants) do outcomes[i] = runner.run(variant, bench.rounds, tell) end
  process.stop_all()
  report.case(outcomes, bench.rounds)
  return { name = name, about = case.about, variants = outcomes }
end

local function write_results(path, results)
  local file = assert(io.open(path, "wb"))
  file:write(cjson.encode(results), "\n")
  file:close()
end

local function main()
  local quick = environment "QUICK" == "1"
  local bench = context.new {
    build = environment "MOONPOST_BUILD" or "build", tmp = assert(environment "BENCH_TMP"), quick = quick,
    rounds = tonumber(environment "ROUNDS" or (quick and 1 or 5)),
  }
  local results = { quick = quick, rounds = bench.rounds, at = os.date "!%Y-%m-%dT%H:%M:%SZ", cases = {} }
  local counts = { measured = 0, failed = 0, skipped = 0 }
  local names = chosen()

  results.machine = machine.describe(bench.tmp)
  report.machine(results.machine)
  for i, name in ipairs(names) do
    results.cases[i] = run_case(name, bench)
    for _, outcome in ipairs(results.cases[i].variants) do
      local kind = outcome.failed and "failed" or outcome.skipped and "skipped" or "measured"
      counts[kind] = counts[kind] + 1
    end
  end
  write_results(bench.programs .. "/results.json", results)
  print(("\n%d measured, %d failed, %d skipped; %d rounds; all figures: %s/results.json"):format(counts.measured,
    counts.failed, counts.skipped, bench.rounds, bench.programs))
  return counts.failed == 0
end

local ok, passed = xpcall(main, debug.traceback)
process.stop_all()
if not ok then io.stderr:write(passed, "\n") end
os.exit(ok and passed and 0 or 1)
