--- A million deliveries that wait in the store: what do they cost those that are sent, and what memory?
local delays = require "bench.lib.delays"
local metrics = require "bench.lib.metrics"
local process = require "bench.lib.process"

local FILL_SECONDS = 300

-- A store with that many held deliveries, made by the engine.
local function prepare(bench, count)
  local store = bench:folder() .. "/moonpost.db"
  assert(process.run(bench:worker("fill", "fill", { count = count, store = store }).words(), FILL_SECONDS))
  return store
end

-- A copy, on the disk before anything is measured.
local function copy(bench, store, folder)
  bench:empty(folder)
  local path = folder .. "/moonpost.db"
  assert(process.run({ "cp", store, path }, FILL_SECONDS))
  assert(process.run({ "cp", store .. ".key", path .. ".key" }, FILL_SECONDS)) -- what its secrets are sealed with
  assert(process.run({ "sync", path }, FILL_SECONDS))
  return path
end

-- The rate of the first count requests in the record: when the rest was sent, or whether, does not matter.
local function rate_of_first(record, count)
  assert(#record >= count, ("only %d of %d deliveries came in time"):format(#record, count))
  return { requests = count, seconds = (record[count].us - record[1].us) / 1e6 }
end

return {
  about = "1,000,000 deliveries waiting in the store, against a store with few or none",
  variants = function(bench)
    local many, few = bench:size(1000000, 20000), bench:size(30000, 2000)
    local record = bench:folder() .. "/record"
    local sink = bench:sink { record = record, record_prefix = "/old" }
    local read = delays.reader(record)
    local full, small, empty = prepare(bench, many), prepare(bench, few), prepare(bench, 0)
    local folder = bench:folder()

    local function sending(name, store)
      return bench:worker(name, "send", { url = sink.base .. "/new", webhooks = 1, count = bench:size(50000, 2000),
        size = 598, seconds = 60, events = { "bench.old" }, concurrency = 64, max_concurrency = 64, store = store,
        reused = true }, { sink = sink })
    end

    local function draining(name, store)
      return bench:worker(name, "drain", function()
        return { url = sink.base .. "/old", seconds = bench:size(4, 2), concurrency = 64, max_concurrency = 64,
          store = copy(bench, store, folder) }
      end, { sink = sink, requests_from_sink = true, seconds = 120, finish = function(result)
        for key, value in pairs(rate_of_first(read(), few)) do result[key] = value end
      end })
    end

    local function holding(name, store)
      return bench:worker(name, "drain", { url = sink.base .. "/hang", seconds = 2, store = store })
    end

    return {
      {
        name = "new events beside it",
        sides = { sending("beside many", full), sending("beside none", empty) },
        metrics = { metrics.rate, metrics.cpu },
      },
      {
        name = "claiming from it",
        sides = { draining("from many", full), draining("from few", small) },
        metrics = { metrics.rate },
      },
      {
        name = "memory, receiver hangs",
        sides = { holding("many due", full), holding("none", empty) },
        metrics = { metrics.field("resident_kib", "KiB", "lower", "memory"),
          metrics.field("anonymous_kib", "KiB", "lower", "anon") },
      },
    }
  end,
}
