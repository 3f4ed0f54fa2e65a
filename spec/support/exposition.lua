--- Reads Prometheus' text format strictly (exposition format 0.0.4): what a scraper would refuse is an error.
local exposition = {}

local KINDS = { counter = true, gauge = true, histogram = true }

local function labels_of(text, where)
  local labels, rest = {}, text
  while rest ~= "" do
    local name, after = rest:match '^([%a_][%w_]*)="(.*)$'
    assert(name, where .. ": expected a label")
    local value, i = {}, 1
    while true do
      local c = after:sub(i, i)
      assert(c ~= "" and c ~= "\n", where .. ": a label's value does not end")
      if c == '"' then break end
      if c == "\\" then
        i = i + 1
        c = ({ ["\\"] = "\\", ['"'] = '"', n = "\n" })[after:sub(i, i)]
        assert(c, where .. ": no such escape")
      end
      value[#value + 1] = c
      i = i + 1
    end
    assert(labels[name] == nil, where .. ": a label is there twice")
    labels[name] = table.concat(value)
    rest = after:sub(i + 1)
    assert(rest == "" or rest:sub(1, 1) == ",", where .. ": expected a comma")
    rest = rest:sub(2)
  end
  return labels
end

local function key_of(name, labels)
  local parts = {}
  for label, value in pairs(labels) do parts[#parts + 1] = label .. "=" .. value end
  table.sort(parts)
  return name .. "{" .. table.concat(parts, "\1") .. "}"
end

local function check_histogram(family)
  local below, last = 0, -math.huge
  local count, has_sum
  for _, sample in ipairs(family.samples) do
    if sample.name == family.name .. "_bucket" then
      local bound = sample.labels.le == "+Inf" and math.huge or tonumber(sample.labels.le)
      assert(bound > last and sample.value >= below, family.name .. ": its buckets do not grow")
      last, below = bound, sample.value
    elseif sample.name == family.name .. "_count" then
      count = sample.value
    else
      assert(sample.name == family.name .. "_sum", family.name .. ": has a sample " .. sample.name)
      has_sum = true
    end
  end
  assert(last == math.huge and count == below and has_sum, family.name .. ": is no whole histogram")
end

--- The families by name: { name, type, help, samples = { { name, labels, value } } }.
function exposition.read(text)
  assert(text:sub(-1) == "\n", "the last line does not end")
  local families, current, seen = {}, nil, {}
  for line in text:gmatch "([^\n]*)\n" do
    local name, rest = line:match "^# HELP ([%a_:][%w_:]*) (.+)$"
    if name then
      assert(not families[name], name .. " is there twice")
      current = { name = name, help = rest, samples = {} }
      families[name] = current
    elseif line:match "^# TYPE " then
      local of, kind = line:match "^# TYPE ([%a_:][%w_:]*) (%a+)$"
      assert(of == current.name and KINDS[kind] and not current.type, line)
      assert((kind == "counter") == (of:sub(-6) == "_total"), of .. ": only counters end in _total")
      current.type = kind
    else
      local sample, labels, value = line:match "^([%a_:][%w_:]*)(%b{}) (%S+)$"
      if not sample then
        sample, value = line:match "^([%a_:][%w_:]*) (%S+)$"
      end
      assert(sample and current.type, line)
      local one = { name = sample, labels = labels_of((labels or ""):sub(2, -2), line), value = assert(tonumber(value), line) }
      assert(sample == current.name or current.type == "histogram" and sample:find(current.name, 1, true) == 1, line)
      local key = key_of(sample, one.labels)
      assert(not seen[key], line .. " is there twice")
      seen[key] = true
      current.samples[#current.samples + 1] = one
    end
  end
  for _, family in pairs(families) do
    assert(family.type, family.name .. " has no type")
    if family.type == "histogram" then check_histogram(family) end
  end
  return families
end

--- The value of the sample with these labels among others; nil when there is none.
function exposition.value(families, name, labels)
  local family = families[name] or families[(name:gsub("_%a+$", ""))]
  for _, sample in ipairs(family and family.samples or {}) do
    local same = sample.name == name
    for label, value in pairs(labels or {}) do same = same and sample.labels[label] == value end
    if same then return sample.value end
  end
end

return exposition
