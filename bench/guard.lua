-- Guards against getting slower: counts the instructions that an operation spends in csrc/, under callgrind, and
-- compares them with bench/instructions.json. Started by scripts/bench-guard.sh.
--
-- Instructions do not depend on the machine's speed or load. Those of libc, libcurl, SQLite and Lua are not counted:
-- they are other people's, and libc's depend on the CPU.
--
--   RECORD=1   writes bench/instructions.json anew; runs everything twice and says how far the two differ
--   VERBOSE=1  shows each operation's source files
local cjson = require "cjson"
local callgrind = require "bench.lib.callgrind"
local process = require "bench.lib.process"
local sink = require "bench.lib.sink"

local RECORDED = "bench/instructions.json"
local GROWTH = 0.05
local SECONDS = 60 -- for one program
local REPEATS = 0.01 -- two recordings may differ by this share

local build, tmp = assert(os.getenv "MOONPOST_BUILD"), assert(os.getenv "BENCH_TMP")
local record = os.getenv "RECORD" == "1"
local verbose = os.getenv "VERBOSE" == "1"

local function program(name) return build .. "/bench/guard_" .. name end

-- How often a thread looks for work before there is some is the scheduler's choice: what is left out.
local LOOKING = {
  "http/client.c:mp_client_poll", "http/loop.c", "engine/commit.c:mp_commit_next_claim", "engine/store_thread.c",
  "engine/upkeep.c", "engine/watch.c",
}

-- count: of operations. within: the function that is counted in, everywhere without it. folders: those of csrc that are
-- counted, all without them. without: what is left out of them. last: the program's last argument.
local function guards(url)
  return {
    { name = "sanitize JSON text", count = 2000, words = { program "sanitize" }, within = "guarded" },
    { name = "sanitize Lua values", count = 2000, words = { "lua5.4", "bench/guard/sanitize.lua" }, within = "mp_lua_sanitize" },
    { name = "emit, wait = false", count = 2000, words = { "lua5.4", "bench/guard/emit.lua" }, within = "mp_lua_emit" },
    { name = "merge headers", count = 5000, words = { program "headers" }, within = "guarded" },
    { name = "sign", count = 5000, words = { program "sign" }, within = "guarded" },
    { name = "HTTP request", count = 1000, words = { program "request" }, last = url, within = "guarded", without = LOOKING },
    { name = "delivery, without emit", count = 2000, words = { "lua5.4", "bench/guard/deliver.lua" }, last = url,
      folders = { "engine/", "queue/", "http/" }, without = LOOKING },
  }
end

local function counted(guard, file)
  if not guard.folders then return true end
  for _, folder in ipairs(guard.folders) do
    if file:sub(1, #folder) == folder then return true end
  end
  return false
end

-- Instructions of one operation.
local function measure(guard)
  local file = tmp .. "/callgrind.out"
  local words = {
    "env", "-i", "PATH=" .. os.getenv "PATH", "LUA_PATH_5_4=" .. package.path, "LUA_CPATH_5_4=" .. package.cpath,
    "valgrind", "--tool=callgrind", "--quiet", "--fair-sched=yes", "--compress-pos=no", "--callgrind-out-file=" .. file,
  }
  if guard.within then
    words[#words + 1] = "--collect-atstart=no"
    words[#words + 1] = "--toggle-collect=" .. guard.within
  end
  for _, word in ipairs(guard.words) do words[#words + 1] = word end
  words[#words + 1] = guard.count
  words[#words + 1] = guard.last
  assert(process.run(words, SECONDS))
  local by_file, sum = callgrind.own(file, "/csrc/", guard.without), 0
  os.remove(file)
  for name, instructions in pairs(by_file) do
    if counted(guard, name) then
      sum = sum + instructions
      if verbose then print(("    %-32s %10.1f"):format(name, instructions / guard.count)) end
    end
  end
  assert(sum > 0, guard.name .. ": callgrind counted nothing in csrc/ (is the build without debug information?)")
  return sum / guard.count
end

local function read_recorded()
  local file = io.open(RECORDED, "rb")
  if not file then return {} end
  local text = file:read "a"
  file:close()
  local recorded = cjson.decode(text)
  return recorded.instructions, recorded.compiler
end

-- One name a line, so that a change shows as one.
local function write_recorded(list, compiler)
  local lines = {}
  for i, entry in ipairs(list) do lines[i] = ("    %s: %.1f"):format(cjson.encode(entry.name), entry.instructions) end
  local file = assert(io.open(RECORDED, "wb"))
  file:write(('{\n  "compiler": %s,\n  "instructions": {\n%s\n  }\n}\n'):format(cjson.encode(compiler),
    table.concat(lines, ",\n")))
  file:close()
end

local function compiler_version()
  return (assert(process.run({ "sh", "-c", "cc --version | head -n 1" }, 10)):gsub("%s+$", ""))
end

local function main()
  local receiver = sink.start(build .. "/bench/sink", {})
  local recorded, recorded_by = read_recorded()
  local compiler, list, failed = compiler_version(), {}, 0
  if recorded_by and recorded_by ~= compiler and not record then
    print(("Recorded with %s; this is %s: counts differ between compilers."):format(recorded_by, compiler))
  end
  print(("%-30s %12s %12s %9s"):format("instructions in csrc/", record and "first" or "recorded",
    record and "second" or "now", "growth"))
  for i, guard in ipairs(guards(receiver.base .. "/guard")) do
    local before = record and measure(guard) or recorded[guard.name]
    local now = measure(guard)
    local growth = before and now / before - 1
    local ok = before and (record and math.abs(growth) <= REPEATS or not record and growth <= GROWTH)
    if not ok then failed = failed + 1 end
    print(("%-30s %12s %12.1f %8s%% %s"):format(guard.name, before and ("%.1f"):format(before) or "none", now,
      growth and ("%+.2f"):format(growth * 100) or "", ok and "ok" or not before and "NOT RECORDED"
      or record and "DOES NOT REPEAT" or "SLOWER"))
    list[i] = { name = guard.name, instructions = now }
  end
  receiver.stop()
  if record and failed == 0 then
    write_recorded(list, compiler)
    print("recorded in " .. RECORDED)
  end
  print(("%d passed, %d failed, 0 skipped"):format(#list - failed, failed))
  if failed > 0 and not record then
    print(("More than %d%% over %s. If that is right: make bench-guard RECORD=1, and say why in the commit."):format(
      GROWTH * 100, RECORDED))
  end
  return failed == 0
end

local ok, passed = xpcall(main, debug.traceback)
process.stop_all()
if not ok then io.stderr:write(passed, "\n") end
os.exit(ok and passed and 0 or 1)
