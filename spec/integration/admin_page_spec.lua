-- The admin page as it is served: which files, with which headers, and what its code keeps to. What it does in a browser is
-- spec/browser.
local admin = require "moonpost.admin"
local core = require "moonpost.core"
local hooks_support = require "spec.support.hooks"
local temp = require "spec.support.temp"

local FOLDER = "lua/moonpost/admin/assets"

describe("the admin page", function()
  local hooks, handler, files

  setup(function()
    hooks = hooks_support.open {}
    handler = admin.new(hooks)
    files = {}
    for _, entry in ipairs(core.listdir(FOLDER)) do files[entry.name] = temp.read(FOLDER .. "/" .. entry.name) end
  end)

  teardown(function()
    hooks:close(0)
    temp.clean()
  end)

  local function go(method, path, headers, query)
    local status, answered, body = handler:handle { method = method, path = path, headers = headers, query = query }
    return status, body, answered
  end

  local function address(name)
    return name == "index.html" and "/admin" or "/admin/assets/" .. name
  end

  it("is every file of its folder, to anybody", function()
    local types = { html = "text/html", css = "text/css", js = "text/javascript", svg = "image/svg+xml" }
    local count = 0
    for name, text in pairs(files) do
      local status, body, headers = go("GET", address(name))
      assert.equal(200, status, name)
      assert.equal(text, body)
      assert.equal(types[name:match "%.(%a+)$"], headers["Content-Type"]:match "^[^;]+", name)
      assert.equal(tostring(#text), headers["Content-Length"])
      status, body = go("HEAD", address(name))
      assert.same({ 200, "" }, { status, body })
      assert.equal(405, (go("POST", address(name))))
      count = count + 1
    end
    assert.is_true(count > 10)
    for _, path in ipairs { "/admin/assets", "/admin/assets/", "/admin/assets/index.html", "/admin/assets/x.js", "/admin/main.js",
      "/admin/assets/..%2Fassets.lua", "/admin/assets/%2e%2e/init.lua", "/admin/assets/main.js/", "/admin/assets/MAIN.JS" } do
      assert.equal(404, (go("GET", path)), path)
    end
  end)

  it("lets nothing in that is not its own", function()
    for name in pairs(files) do
      local _, _, headers = go("GET", address(name))
      assert.equal("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; "
        .. "frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        headers["Content-Security-Policy"])
      assert.equal("DENY", headers["X-Frame-Options"])
      assert.equal("no-referrer", headers["Referrer-Policy"])
      assert.equal("nosniff", headers["X-Content-Type-Options"])
      assert.equal("same-origin", headers["Cross-Origin-Opener-Policy"])
      assert.equal("same-origin", headers["Cross-Origin-Resource-Policy"])
    end
  end)

  it("is fetched again when it changed, and not when it did not", function()
    local tags = {}
    for name in pairs(files) do
      local _, _, headers = go("GET", address(name))
      assert.equal("no-cache", headers["Cache-Control"])
      assert.truthy(headers.ETag:find '^"%x+"$')
      assert.is_nil(tags[headers.ETag])
      tags[headers.ETag] = true
      for _, known in ipairs { headers.ETag, 'W/"x", ' .. headers.ETag, "*" } do
        local status, body, again = go("GET", address(name), { ["If-None-Match"] = known })
        assert.same({ 304, "" }, { status, body })
        assert.equal(headers.ETag, again.ETag)
        assert.is_nil(again["Content-Length"])
      end
      assert.equal(200, (go("GET", address(name), { ["If-None-Match"] = '"0123"' })))
    end
  end)

  it("is where one comes to who asks for less, wherever the API is mounted", function()
    for path, to in pairs { ["/"] = "admin", ["/admin/"] = "../admin" } do
      local status, body, headers = go("GET", path)
      assert.same({ 302, "", to }, { status, body, headers.Location })
    end
    for _, text in ipairs { files["index.html"], files["api.js"] } do
      assert.is_nil(text:find("[\"'(]/%a"), "an address from the root")
    end
  end)

  it("is read once", function()
    local open = io.open
    io.open = function() error "read again" end -- luacheck: ignore
    local ok, status = pcall(go, "GET", "/admin")
    io.open = open -- luacheck: ignore
    assert.is_true(ok)
    assert.equal(200, status)
  end)

  it("names files that are there, and keeps script and style out of its markup", function()
    local html = files["index.html"]
    for name in html:gmatch '[hs]r[ec]f?="([^"#]+)"' do
      assert.truthy(files[name:match "^admin/assets/(.+)$"], name)
    end
    assert.is_nil(html:find "<style")
    assert.is_nil(html:find "%sstyle=")
    assert.is_nil(html:find "%son%a+=")
    for script in html:gmatch "<script.->(.-)</script>" do assert.equal("", script) end
    for name, text in pairs(files) do
      for import in text:gmatch "from '([^']*)'" do assert.truthy(files[import:match "^%./(.+)$"], name .. ": " .. import) end
      for origin in text:gmatch "%f[%w]%a+://[^%s\"'/]*" do
        assert.is_true(name == "icon.svg" and origin == "http://www.w3.org", name .. ": " .. origin)
      end
    end
  end)

  it("never makes markup or code of text", function()
    for name, text in pairs(files) do
      if name:find "%.js$" then
        for _, word in ipairs { "innerHTML", "outerHTML", "insertAdjacentHTML", "document%.write", "DOMParser", "srcdoc",
          "createContextualFragment", "%f[%w]eval%f[%W]", "new Function", "javascript:", "%f[%w]var%s", "localStorage",
          "sessionStorage", "document%.cookie" } do
          assert.is_nil(text:find(word), name .. ": " .. word)
        end
      end
    end
  end)
end)
