-- The other half of fuzz_sandbox.c: calls what scripts have, step by step as the payload says, with what the calls before answered.
local MOST = 96 -- values that are kept

local functions = {
  assert, error, getmetatable, ipairs, next, pairs, pcall, rawequal, rawget, rawlen, rawset, require, select, setmetatable, tonumber,
  tostring, type, unpack, xpcall,
  string.byte, string.char, string.find, string.format, string.gmatch, string.gsub, string.len, string.lower, string.match, string.rep,
  string.reverse, string.sub, string.upper,
  table.concat, table.insert, table.move, table.pack, table.remove, table.sort, table.unpack,
  math.abs, math.acos, math.asin, math.atan, math.ceil, math.cos, math.deg, math.exp, math.floor, math.fmod, math.log, math.max, math.min,
  math.modf, math.rad, math.random, math.sin, math.sqrt, math.tan, math.tointeger,
  utf8.char, utf8.codepoint, utf8.codes, utf8.len, utf8.offset,
  os.date, os.difftime, os.time,
  json.array, json.decode, json.encode, log.error, log.info, log.warn, crypto.hmac_sha256, crypto.sha256, base64.decode, base64.encode,
  function(a, b) return a .. b end,
  function(a, b) return a + b end,
  function(a, b) return a % b end,
  function(a, b) return a == b, a < b, a <= b end,
  function(a, b) return a[b] end,
  function(a, b, c) a[b] = c return a end,
  function(a) return #a end,
  function(a) return -a end,
  function(a, ...) return a(...) end,
  function(name, a) _G[name] = a return _G[name] end,
}

local function values(payload, event, webhook)
  local text = payload.text or "text"
  return {
    0, 1, -1, 2, 3, 10, 255, 0.5, 1e15, 2 ^ 53, -2 ^ 63, 1e308, 1 / 0, 0 / 0, true, false, json.null, event, webhook, constants,
    payload, string, text, "", "a", "b,c", "%d", "%5.20f", "%-10s|%q", "%x", "%a", "(.-)%s*$", "[^%w]+", "%f[%a]%a+", "(()(.))", "%1", "^",
    "!%Y-%j %c", "*t", "n", "#", "__index", "__newindex", "__metatable", "__len", "__eq", "__lt", "__concat", "__call", "__gc", "__mode",
    "hex", "raw", "12.5e3", "0x10", ("x"):rep(300), "ä€😀", "\255\0\1", "[1,{\"a\":null}]", "2020-01-01",
    {}, { 1, 2, 3 }, { a = 1, [2] = {} }, { "c", "a", "b" },
    function(...) return ... end, function(a, b) return a < b end, function() error({}) end, math, "upper", "floor",
  }
end

return {
  transform = function(payload, event, webhook)
    local pool, steps, at = values(payload, event, webhook), payload.steps or {}, 0
    for _, number in ipairs(payload.numbers or {}) do pool[#pool + 1] = number end
    local size, count = #pool, #pool
    local function choose(most)
      at = at + 1
      return (steps[at] or 0) % most + 1
    end
    while at < #steps do
      local called, given, arguments = functions[choose(#functions)], choose(5) - 1, {}
      for i = 1, given do arguments[i] = pool[choose(size)] end
      if choose(8) == 1 then arguments[given] = functions[choose(#functions)] end
      local answers = table.pack(pcall(called, unpack(arguments, 1, given)))
      for i = 2, math.min(answers.n, 4) do
        count = count % MOST + 1
        pool[count], size = answers[i], math.max(size, count)
      end
    end
    return { pool[choose(size)], ("clean"):upper(), math.floor(1.5), #table.pack(1, 2) }, { headers = { X = tostring(pool[choose(size)]) } }
  end,
}
