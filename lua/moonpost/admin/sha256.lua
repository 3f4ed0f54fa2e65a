--- SHA-256 (FIPS 180-4) in plain Lua: for tokens, where the core has none. Lua 5.4's operators do not parse on LuaJIT,
-- so the three operations are chosen when the module is loaded.

local has_bit, bit = pcall(require, "bit")
local band, bxor, rotate, shift
if has_bit then
  band, bxor, rotate, shift = bit.band, bit.bxor, bit.ror, bit.rshift
else
  band, bxor, rotate, shift = assert(load [[
    return function(a, b) return a & b end,
      function(a, b, c) return a ~ b ~ (c or 0) end,
      function(a, n) return ((a >> n) | (a << (32 - n))) & 0xffffffff end,
      function(a, n) return a >> n end
  ]])()
end

-- The first 32 bits of the fractional parts of the roots of the first primes.
local function fraction(root)
  return math.floor((root - math.floor(root)) * 4294967296)
end

local K, START = {}, {}
do
  local n = 2
  while #K < 64 do
    local prime = true
    for d = 2, math.floor(math.sqrt(n)) do prime = prime and n % d ~= 0 end
    if prime then
      if #START < 8 then START[#START + 1] = fraction(math.sqrt(n)) end
      -- A cube root by Newton's steps: n ^ (1 / 3) is off in its last bits.
      local root = n ^ (1 / 3)
      root = root - (root * root * root - n) / (3 * root * root)
      K[#K + 1] = fraction(root)
    end
    n = n + 1
  end
end

local function add(...)
  local sum = 0
  for i = 1, select("#", ...) do sum = sum + select(i, ...) end
  return sum % 4294967296
end

local function schedule(text, at)
  local w = {}
  for i = 1, 16 do
    local a, b, c, d = text:byte(at + i * 4 - 4, at + i * 4 - 1)
    w[i] = a * 16777216 + b * 65536 + c * 256 + d
  end
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    w[i] = add(w[i - 16], bxor(rotate(x, 7), rotate(x, 18), shift(x, 3)), w[i - 7],
      bxor(rotate(y, 17), rotate(y, 19), shift(y, 10)))
  end
  return w
end

local function compress(h, w)
  local a, b, c, d, e, f, g, last = h[1], h[2], h[3], h[4], h[5], h[6], h[7], h[8]
  for i = 1, 64 do
    local choice = bxor(band(e, f), band(4294967295 - e, g))
    local first = add(last, bxor(rotate(e, 6), rotate(e, 11), rotate(e, 25)), choice, K[i], w[i])
    local majority = bxor(band(a, b), band(a, c), band(b, c))
    local second = add(bxor(rotate(a, 2), rotate(a, 13), rotate(a, 22)), majority)
    a, b, c, d, e, f, g, last = add(first, second), a, b, c, add(d, first), e, f, g
  end
  for i, value in ipairs { a, b, c, d, e, f, g, last } do h[i] = add(h[i], value) end
end

--- The SHA-256 of a text.
---@param text string
---@return string hex 64 digits
return function(text)
  local bits = #text * 8
  local length = {}
  for i = 8, 1, -1 do
    length[i] = string.char(bits % 256)
    bits = math.floor(bits / 256)
  end
  local padded = text .. "\128" .. ("\0"):rep((55 - #text) % 64) .. table.concat(length)
  local h = {}
  for i = 1, 8 do h[i] = START[i] end
  for at = 1, #padded, 64 do compress(h, schedule(padded, at)) end
  local hex = {}
  for i = 1, 8 do hex[i] = ("%08x"):format(h[i]) end
  return table.concat(hex)
end
