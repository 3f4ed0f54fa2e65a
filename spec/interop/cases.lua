-- The two halves of make interop that are moonpost's: the requests that libraries are to verify, and the check of what they
-- answered. Started by scripts/interop.sh.
--
--   cases.lua make FILE              sends real requests, and writes what a library is to do with them, a line each:
--                                      verify NAME SECRET ID TIMESTAMP SIGNATURES BODY
--                                      sign   NAME SECRET ID TIMESTAMP BODY
--                                    with tabs between, the body in hexadecimal
--   cases.lua check FILE ANSWERS     a library answers "NAME<tab>accept", "NAME<tab>refuse" or "NAME<tab>SIGNATURE"; prints what is
--                                    wrong, and "N passed, N failed"
local moonpost = require "moonpost"
local receivers = require "spec.support.receiver"
local temp = require "spec.support.temp"

local OTHER = "whsec_" .. ("QUJD"):rep(8)
local SECRETS = {
  bytes24 = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", bytes64 = "whsec_" .. ("x/+9"):rep(21) .. "Qw==",
}
local KEY = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
local ENTRIES = {
  plain = { id = 1, city = "Paris" }, empty = {}, utf8 = { city = "Ærøskøbing \240\159\142\137 \"q\" \\ \226\128\168 \u{7f}\n" },
  large = { city = ("0123456789"):rep(10000) },
}

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

local function from_hex(text)
  return (text:gsub("%x%x", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- ---- make -------------------------------------------------------------------------------------------

-- Each webhook with the secrets that a receiver of it may have.
local function webhooks_of(hooks, receiver)
  local function create(name, fields)
    fields.name, fields.url, fields.events = name, receiver:url("/ok?" .. name), { "*" }
    return assert(hooks.webhooks:create(fields))
  end
  local made = create("made", {})
  create("bytes24", { secret = SECRETS.bytes24 })
  create("bytes64", { secret = SECRETS.bytes64 })
  create("key", { secret = SECRETS.bytes24, signingKey = KEY })
  local rotated = create("rotated", { secret = SECRETS.bytes64 })
  assert(hooks.webhooks:rotate_secret(rotated.id, { secret = SECRETS.bytes24 }))
  return {
    made = { assert(hooks.webhooks:secret(made.id)) }, bytes24 = { SECRETS.bytes24 }, bytes64 = { SECRETS.bytes64 },
    key = { SECRETS.bytes24 }, rotated = { SECRETS.bytes24, SECRETS.bytes64 },
  }
end

-- What must be refused, of one request: name, secret, id, timestamp, signatures, body.
local function tampered(r)
  local flipped = r.signatures:gsub("^v1,(.)", function(c) return "v1," .. (c == "A" and "B" or "A") end)
  local only_v1a = {}
  for word in r.signatures:gmatch "%S+" do
    if word:find "^v1a," then only_v1a[#only_v1a + 1] = word end
  end
  return {
    { "another body", r.secret, r.id, r.timestamp, r.signatures, r.body .. " " },
    { "another id", r.secret, r.id .. "0", r.timestamp, r.signatures, r.body },
    { "another time", r.secret, r.id, tostring(tonumber(r.timestamp) + 1), r.signatures, r.body },
    { "another signature", r.secret, r.id, r.timestamp, (flipped:match "^%S+"), r.body },
    { "another secret", OTHER, r.id, r.timestamp, r.signatures, r.body },
    { "an unknown version", r.secret, r.id, r.timestamp, only_v1a[1] or "v9," .. r.signatures:match "^v1,(%S+)", r.body },
    { "another hour", SECRETS.bytes24, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330",
      "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", '{"test": 2432232314}' },
  }
end

local function lines_of(requests, secrets)
  local lines = {}
  local function add(...) lines[#lines + 1] = table.concat({ ... }, "\t") end
  local seen = {}
  for number, request in ipairs(requests) do
    local name = request.path:match "%?(.*)$"
    local r = { id = receivers.header(request, "webhook-id"), timestamp = receivers.header(request, "webhook-timestamp"),
      signatures = receivers.header(request, "webhook-signature"), body = request.body }
    for i, secret in ipairs(secrets[name]) do
      add("verify", ("%s %d.%d: accept"):format(name, number, i), secret, r.id, r.timestamp, r.signatures, hex(r.body))
      r.secret = secret
    end
    for _, case in ipairs(seen[name] and {} or tampered(r)) do
      add("verify", ("%s, %s: refuse"):format(name, case[1]), case[2], case[3], case[4], case[5], hex(case[6]))
    end
    seen[name] = true
  end
  for name, secret in pairs { bytes24 = SECRETS.bytes24, bytes64 = SECRETS.bytes64 } do
    for i, body in ipairs { "{}", '{"city":"Ærøskøbing \240\159\142\137"}', '{"n":"' .. ("x"):rep(50000) .. '"}' } do
      add("sign", ("signs with %s, %d"):format(name, i), secret, "msg_" .. i, tostring(os.time()), hex(body))
    end
  end
  return lines
end

local function make(path)
  local receiver = receivers.start()
  local hooks = assert(moonpost.open { webhooks = {
    store = ":memory:", models = { address = { attributes = { city = { type = "string" } } } }, log = { level = "error" },
    network = { allow = { "127.0.0.1" } },
  } })
  local secrets, count = webhooks_of(hooks, receiver), 0
  for _, entry in pairs(ENTRIES) do
    assert(hooks:emit("entry.create", { model = "address", entry = entry }))
    count = count + 5
  end
  local requests = assert(receiver:wait_for(count, 30))
  hooks:close()
  local file = assert(io.open(path, "wb"))
  assert(file:write(table.concat(lines_of(requests, secrets), "\n"), "\n"))
  assert(file:close())
  receiver:stop()
  temp.clean()
  return true
end

-- ---- check ------------------------------------------------------------------------------------------

local function split(line)
  local words = {}
  for word in (line .. "\t"):gmatch "([^\t]*)\t" do words[#words + 1] = word end
  return words
end

-- What is wrong with the answer to a line; nil: nothing.
local function judge(words, answer)
  if words[1] == "verify" then
    local expected = words[2]:match ": (%l+)$"
    return answer ~= expected and ("expected %s, got %s"):format(expected, tostring(answer)) or nil
  end
  local secret, id, timestamp, body = words[3], words[4], words[5], from_hex(words[6])
  local headers = { ["webhook-id"] = id, ["webhook-timestamp"] = timestamp, ["webhook-signature"] = answer }
  local ok, message = moonpost.verify(secret, headers, body)
  if not ok then return message end
  if moonpost.verify(secret, headers, body .. " ") then return "moonpost.verify accepted another body" end
end

local function check(cases, answers)
  local answer_of, passed, failed = {}, 0, 0
  for line in io.lines(answers) do
    local name, answer = line:match "^([^\t]*)\t(.*)$"
    if name then answer_of[name] = answer end
  end
  for line in io.lines(cases) do
    local words = split(line)
    local wrong = judge(words, answer_of[words[2]])
    if wrong then print(("  %s: %s"):format(words[2], wrong)) end
    passed, failed = passed + (wrong and 0 or 1), failed + (wrong and 1 or 0)
  end
  print(("%d passed, %d failed"):format(passed, failed))
  return failed == 0
end

local ok = arg[1] == "make" and make(arg[2]) or arg[1] == "check" and check(arg[2], arg[3])
os.exit(ok and 0 or 1)
