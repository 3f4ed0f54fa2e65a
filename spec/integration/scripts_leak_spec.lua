-- What was removed from an entry never reaches a script: whatever scripts copy, rename, nest, encode, log or raise, a canary in
-- the private fields is in no request, not in the store, not in the log, and in no error.
local process = require "spec.support.process"
local receivers = require "spec.support.receiver"
local scripts = require "spec.support.scripts"
local temp = require "spec.support.temp"

-- Everything that can be reached from a script's arguments and globals, as one text.
local COLLECT = [[
  local collect = {}
  local function walk(value, seen, out, path)
    if type(value) == "string" or type(value) == "number" or type(value) == "boolean" then
      out[#out + 1] = path .. "=" .. tostring(value)
    elseif type(value) == "table" and not seen[value] then
      seen[value] = true
      for key, item in pairs(value) do
        walk(key, seen, out, path .. "/k")
        walk(item, seen, out, path .. "/" .. tostring(key))
      end
      local mt = getmetatable(value)
      if type(mt) == "table" then walk(mt, seen, out, path .. "/mt") end
    end
  end
  function collect.all(...)
    local out = {}
    for i, root in ipairs { ... } do walk(root, {}, out, "/" .. i) end
    walk(_G, {}, out, "/G")
    walk(constants, {}, out, "/C")
    for _, root in ipairs { "string", "table", "math", "utf8", "os", "json", "log", "crypto", "base64" } do
      walk(_G[root], {}, out, "/" .. root)
      walk(getmetatable(_G[root]), {}, out, "/" .. root .. "/mt")
    end
    walk(getmetatable(""), {}, out, "/text/mt")
    return table.concat(out, "\n")
  end
  return collect
]]

local FILES = {
  ["lib/collect"] = COLLECT,
  routing = [[
    local collect = require "lib.collect"
    return { route = function(event) log.error(collect.all(event):sub(1, 900)) return nil end }
  ]],
  dump = [[
    local collect = require "lib.collect"
    return { transform = function(payload, event, webhook)
      local text = collect.all(payload, event, webhook)
      payload.renamed = { deep = { inside = payload.entry } }
      payload.again = { entry = event.entry, text = text, reversed = text:reverse(), base64 = base64.encode(text) }
      payload.entry.city = json.encode(event)
      return payload
    end }
  ]],
  text = [[
    local collect = require "lib.collect"
    return { transform = function(...) return collect.all(...) end }
  ]],
  headers = [[
    local collect = require "lib.collect"
    return { transform = function(payload, ...)
      return payload, { headers = { ["X-All"] = (collect.all(payload, ...):gsub("%c", " "):sub(-4000)) } }
    end }
  ]],
  raise = [[
    local collect = require "lib.collect"
    return { filter = function(...) log.warn(collect.all(...)) error(collect.all(...)) end }
  ]],
  put_back = [[
    return { transform = function(payload)
      for _, name in ipairs { "notes", "door_code", "owner", "unknown" } do payload.entry[name] = payload.entry[name] or "guess" end
      return payload
    end }
  ]],
}

describe("a script", function()
  it("never has what is private, wherever it looks", function()
    local canary = "canary7f3a91"
    local receiver, dir = receivers.start(), temp.dir()
    local folder = scripts.folder(FILES)
    local program = process.start { program = "spec/support/scripts_leak.lua",
      args = { folder, dir .. "/moonpost.db", receiver:url "/echo", canary } }
    assert(program:wait(60))
    local out, err = program:output()
    assert.equal(0, program:code(), out .. err)

    local function clean(what, text)
      for _, form in ipairs { canary, canary:reverse() } do
        local at = text:find(form, 1, true)
        assert.is_nil(at, at and ("%s has the canary: ...%s..."):format(what, text:sub(math.max(1, at - 200), at + 60)))
      end
    end
    local seen = {}
    for _, request in ipairs(receiver:requests()) do
      local name = request.path:match "%?(%w+_?%w*)$"
      seen[name] = (seen[name] or 0) + 1
      clean("a body of " .. name, request.body)
      for _, header in ipairs(request.headers) do
        -- What the config gives each request is in it; a script's own field has none of it.
        if header[1] == "X-All" then
          assert.truthy(header[2]:find("/C/harmless=true", 1, true), header[2])
          clean("a header of " .. name, header[2])
        end
      end
      if name == "dump" then assert.truthy(request.body:find("harmless", 1, true)) end
      if name == "put_back" then assert.is_nil(request.body:find("guess", 1, true), request.body) end
    end
    assert.same({ dump = 3, text = 3, headers = 3, put_back = 3 }, seen)
    clean("what is printed", out)
    clean("the log", err)
    assert.truthy(err:find("script raise: ", 1, true), err)
    assert.truthy(out:find("held\t[^\n]*Paris") or out:find("held\traise.lua", 1, true), out)
    for _, name in ipairs { "moonpost.db", "moonpost.db-wal" } do
      local bytes = temp.read(dir .. "/" .. name)
      if bytes then clean(name, bytes) end
    end
    program:stop()
    receiver:stop()
    temp.clean()
  end)
end)
