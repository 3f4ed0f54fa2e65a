-- The receiver that the other specs rely on does what its paths say. Driven with curl and raw sockets of bash.
local receiver = require "spec.support.receiver"
local paths = require "spec.support.paths"
local shell = require "spec.support.shell"
local temp = require "spec.support.temp"
local wait_until = require "spec.support.wait_until"

-- curl's exit codes
local EMPTY_REPLY, TIMED_OUT, RECEIVE_ERROR, PARTIAL, NOT_HTTP = 52, 28, 56, 18, 1

describe("the receiver", function()
  local target

  setup(function()
    target = receiver.start()
  end)

  teardown(function()
    target:stop()
    temp.clean()
  end)

  before_each(function()
    target:clear()
  end)

  -- Body, then status as a number, then curl's exit code.
  local function curl(path, options)
    local output, code = shell.run(table.concat({
      "curl --silent --max-time 20 --write-out '|%{http_code}'", options or "", shell.quote(target:url(path)),
    }, " "))
    local body, status = output:match("^(.*)|(%d+)$")
    return body, tonumber(status), code
  end

  local function status_of(path, options)
    local _, status, code = curl(path, options)
    assert.equal(0, code)
    return status
  end

  -- Sends bytes as they are, and gives what comes until the receiver closes, or the first size bytes.
  local function raw(bytes, size)
    local file = temp.write(target.dir .. "/raw", bytes)
    local script = ("exec 3<>/dev/tcp/127.0.0.1/%d; cat %s >&3; timeout 20 head -c %d <&3"):format(
      target.port, shell.quote(file), size or 1000000
    )
    return (shell.run("bash -c " .. shell.quote(script)))
  end

  it("answers 200 on /ok and any other path", function()
    assert.equal("ok\n", (curl "/ok"))
    assert.equal(200, status_of "/anything/else?x=1")
  end)

  it("records a request as it was sent", function()
    curl("/hook?x=%20&y", "-H 'X-Case: Ab' -H 'X-Empty;' -H 'x-LATIN: caf\233' --data-binary '\"\\\n\233{}'")
    local requests = target:requests()
    assert.equal(1, #requests)
    local request = requests[1]
    assert.equal("POST", request.method)
    assert.equal("/hook?x=%20&y", request.path)
    assert.equal("\"\\\n\233{}", request.body)
    assert.same({ "Ab", 1 }, { receiver.header(request, "x-case") })
    assert.same({ "", 1 }, { receiver.header(request, "x-empty") })
    assert.same({ "caf\233", 1 }, { receiver.header(request, "X-Latin") })
    assert.same({ nil, 0 }, { receiver.header(request, "X-Other") })
    assert.matches("^POST /hook%?x=%%20&y HTTP/1.1\r\nHost: ", request.raw_head)
    assert.matches("\r\nx%-LATIN: caf\233\r\n", request.raw_head)
    assert.matches("\r\n\r\n$", request.raw_head)
    assert.equal("Host", request.headers[1][1])
  end)

  it("has recorded a request whose answer has come", function()
    for i = 1, 20 do
      curl("/ok")
      assert.equal(i, #target:requests())
    end
    local requests = target:requests()
    for i = 2, 20 do
      assert.equal(requests[i - 1].n + 1, requests[i].n)
      assert.is_true(requests[i].at_us > requests[i - 1].at_us)
      assert.equal(requests[i - 1].connection + 1, requests[i].connection)
    end
  end)

  it("keeps a connection for the next request", function()
    shell.run(("curl --silent %s %s %s"):format(target:url "/ok", target:url "/status/500", target:url "/echo"))
    local requests = assert(target:wait_for(3))
    assert.equal(requests[1].connection, requests[2].connection)
    assert.equal(requests[1].connection, requests[3].connection)
  end)

  it("closes a connection that asks for it", function()
    local answer = raw "GET /ok HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
    assert.matches("\r\nConnection: close\r\n", answer)
    assert.equal(1, #target:requests())
  end)

  it("answers requests that come at once in their order", function()
    local answer = raw(
      "GET /status/201 HTTP/1.1\r\nHost: a\r\n\r\nGET /delay/0.05 HTTP/1.1\r\nHost: a\r\n\r\n"
        .. "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast"
    )
    assert.matches("^HTTP/1.1 201 .*HTTP/1.1 200 .*HTTP/1.1 200 .*last$", answer)
  end)

  it("answers a status", function()
    for _, status in ipairs { 200, 204, 304, 404, 410, 429, 500, 599 } do
      assert.equal(status, status_of("/status/" .. status))
    end
    assert.matches("\r\nRetry%-After: 5\r\n", (curl("/status/503?retry-after=5", "--include")))
    assert.matches("\r\nRetry%-After: Wed, 21\r\n", (curl("/status/503?x&retry-after=Wed,%2021", "--include")))
    assert.is_nil((curl("/status/503", "--include")):find("Retry", 1, true))
  end)

  it("answers a sequence for each target", function()
    for _, query in ipairs { "", "?id=2" } do
      local got = {}
      for i = 1, 5 do
        got[i] = status_of("/sequence/500,503,200" .. query)
      end
      assert.same({ 500, 503, 200, 200, 200 }, got)
    end
  end)

  it("answers later", function()
    local output = shell.run("curl --silent --output /dev/null --write-out '%{time_total}' " .. target:url "/delay/0.2")
    assert.is_true(tonumber(output) >= 0.2)
  end)

  it("does not let one that waits hold up another", function()
    local output = shell.run(("curl --silent --max-time 20 %s & first=$!; curl --silent --max-time 5 %s; kill $first")
      :format(target:url "/hang", target:url "/ok"))
    assert.equal("ok\n", output)
  end)

  it("hangs, and takes the next connection when the client has gone", function()
    assert.equal(TIMED_OUT, (select(3, curl("/hang", "--max-time 0.2"))))
    assert.equal(200, status_of "/ok")
  end)

  it("sleeps when clients have left before their answer", function()
    for _, path in ipairs { "/delay/0.3", "/body-forever", "/hang" } do
      curl(path, "--max-time 0.1")
    end
    os.execute("sleep 0.5") -- past the time of what they waited for
    -- The state in proc(5): it spins when it is never found asleep.
    assert.is_truthy(wait_until(5, function()
      return temp.read(("/proc/%d/stat"):format(target.pid)):match("%) S ")
    end))
  end)

  for path, code in pairs {
    ["/reset"] = RECEIVE_ERROR,
    ["/close"] = EMPTY_REPLY,
    ["/garbage"] = NOT_HTTP,
    ["/half"] = PARTIAL,
  } do
    it("breaks off on " .. path, function()
      assert.equal(code, (select(3, curl(path, "--data x"))))
      assert.equal(1, #target:requests())
    end)
  end

  it("breaks off in a body and in a header", function()
    assert.matches("\r\nContent%-Length: 100\r\n\r\n..........$", raw "GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
    assert.equal("HTTP/1.1 200 OK\r\nContent-Le", raw "GET /half-head HTTP/1.1\r\nHost: a\r\n\r\n")
  end)

  it("sends headers and bodies without end", function()
    for path, pattern in pairs {
      ["/headers-forever"] = "^HTTP/1.1 200 OK\r\nX%-And%-Another: [%w ]+\r\nX%-And%-Another: [%w ]+\r\n",
      ["/body-forever"] = "\r\nTransfer%-Encoding: chunked\r\n\r\n400\r\n[%w \n]+\r\n400\r\n",
    } do
      local bytes = raw("GET " .. path .. " HTTP/1.1\r\nHost: a\r\n\r\n", 4000)
      assert.equal(4000, #bytes)
      assert.matches(pattern, bytes)
    end
  end)

  it("sends a body of a size", function()
    for _, size in ipairs { 0, 1, 65536, 5000001 } do
      local output = shell.run("curl --silent --output /dev/null --write-out '%{size_download}' "
        .. target:url("/big/" .. size))
      assert.equal(tostring(size), output)
    end
  end)

  it("sends interim answers first", function()
    local answer = raw "GET /continue HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert.matches("^HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n.-\r\n\r\nHTTP/1.1 200 OK\r\n", answer)
  end)

  it("redirects", function()
    local answer = curl("/redirect?to=http%3A%2F%2Fa%2Fb%3Fc", "--include")
    assert.matches("^HTTP/1.1 302 .*\r\nLocation: http://a/b%?c\r\n", answer)
    assert.equal(307, status_of "/redirect/307?to=/ok")
    assert.equal(400, status_of "/redirect")
    assert.equal(400, status_of "/redirect?to=a%0d%0aX:%20y")
  end)

  it("answers nothing, and what was sent", function()
    local body, status = curl("/no-content", "--data x")
    assert.same({ "", 204 }, { body, status })
    assert.equal("a\nb", (curl("/echo", "--data-binary 'a\nb'")))
    assert.equal("", (curl("/echo")))
    assert.equal("", (curl("/echo", "--head")):match("\r\n\r\n(.*)$"))
  end)

  it("takes chunked bodies and waits with 100-continue", function()
    local file = temp.write(target.dir .. "/large", ("0123456789abcdef"):rep(200000))
    for _, header in ipairs { "Transfer-Encoding: chunked", "Expect: 100-continue" } do
      local _, code = shell.run(("curl --silent --fail -H '%s' --data-binary @%s %s | cmp - %s"):format(
        header, shell.quote(file), target:url "/echo", shell.quote(file)
      ))
      assert.equal(0, code)
    end
    assert.equal(3200000, #target:requests()[1].body)
    local head = "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert.matches("\r\n\r\nabcde$", raw(head .. "2;x=y\r\nab\r\n03\r\ncde\r\n0\r\nX-Trailer: 1\r\n\r\n"))
  end)

  it("fails for a share of the requests", function()
    assert.equal(200, status_of "/flaky/0")
    assert.equal(500, status_of "/flaky/100")
    local output = shell.run("curl --silent --output /dev/null --write-out '%{http_code} ' "
      .. shell.quote(target:url "/flaky/50?[1-200]"))
    local failed = select(2, output:gsub("500 ", ""))
    assert.is_true(failed > 50 and failed < 150, failed .. " of 200 failed")
  end)

  it("resets a share of the connections", function()
    assert.equal(200, status_of "/flaky-reset/0")
    assert.equal(RECEIVE_ERROR, (select(3, curl "/flaky-reset/100")))
    local reset = 0
    for _ = 1, 60 do
      local _, _, code = curl "/flaky-reset/50"
      assert.is_true(code == 0 or code == RECEIVE_ERROR, code)
      reset = reset + (code == 0 and 0 or 1)
    end
    assert.is_true(reset > 5 and reset < 55, reset .. " of 60 were reset")
  end)

  for name, request in pairs {
    ["a line feed alone"] = "GET / HTTP/1.1\nHost: a\r\n\r\n",
    ["a carriage return alone"] = "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
    ["a folded line"] = "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
    ["a line without a colon"] = "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    ["a space before the colon"] = "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    ["no host"] = "GET / HTTP/1.1\r\n\r\n",
    ["two hosts"] = "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
    ["two lengths"] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
    ["two framings"] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ["a length that is no number"] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    ["a chunk without a size"] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ["a chunk over its size"] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    ["a control character"] = "GET / HTTP/1.1\r\nHost: a\r\nX: \1\r\n\r\n",
    ["another protocol"] = "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    ["no protocol"] = "GET /\r\n\r\n",
  } do
    it("refuses " .. name, function()
      assert.matches("^HTTP/1.1 400 .*\r\n\r\nrefused: ", raw(request))
      assert.equal(0, #target:requests())
    end)
  end

  it("bounds header and body", function()
    local head = "POST / HTTP/1.1\r\nHost: a\r\nX: %s\r\nContent-Length: %d\r\n\r\n"
    assert.matches("^HTTP/1.1 431 ", raw(head:format(("x"):rep(65536), 0)))
    assert.matches("^HTTP/1.1 413 ", raw(head:format("", 67108865)))
  end)

  it("refuses a parameter it cannot use", function()
    for _, path in ipairs {
      "/status/x", "/status/100", "/status/2000", "/status", "/sequence/500,x", "/sequence", "/delay/x",
      "/delay/1e9", "/big/-1", "/flaky/101", "/flaky-reset/x", "/redirect/x?to=/",
    } do
      -- A bad number that a sequence comes to later is refused then.
      local status = status_of(path)
      if path == "/sequence/500,x" then
        assert.equal(500, status)
        status = status_of(path)
      end
      assert.equal(400, status, path)
    end
  end)

  it("listens on the loopback only", function()
    local output, code = shell.run(shell.quote(paths.receiver) .. " --bind 0.0.0.0")
    assert.equal("receiver: 0.0.0.0: not a loopback address\n", output)
    assert.equal(1, code)
    output, code = shell.run(shell.quote(paths.receiver) .. " --prot 1")
    assert.matches("^receiver: %-%-prot: no such option", output)
    assert.equal(1, code)
  end)

  -- A shell script with the receiver's path in place of RECEIVER and a file in place of OUT.
  local function script(text)
    local values = { RECEIVER = shell.quote(paths.receiver), OUT = shell.quote(temp.dir() .. "/out") }
    return shell.run((text:gsub("%u%u%u+", values)))
  end

  it("ends on a signal", function()
    for _, signal in ipairs { "-15", "-2" } do
      local output = script([[
        RECEIVER > OUT & while ! [ -s OUT ]; do sleep 0.01; done
        kill ]] .. signal .. [[ $!; wait $!; echo $?
      ]])
      assert.equal("0\n", output)
    end
  end)

  it("ends with its input", function()
    assert.equal(0, (select(2, script "sleep 0.1 | timeout 20 RECEIVER --stdin-lifetime")))
  end)

  it("ends with its parent", function()
    -- cat reads until nobody has the pipe open any more.
    local _, code = script [[
      ( RECEIVER --pid-parent 2>&1 > OUT & while ! [ -s OUT ]; do sleep 0.01; done ) | timeout 20 cat
    ]]
    assert.equal(0, code)
  end)

  describe("with a brief record", function()
    local brief

    setup(function()
      brief = receiver.start { brief = true }
    end)

    teardown(function()
      brief:stop()
    end)

    -- The lines since the last call, each as { path, webhook_id, body_hash, status }.
    local read = 0
    local function arrivals()
      local new, count, last = {}, 0, 0
      for at, path, id, hash, status in brief:arrivals() do
        assert.is_true(at >= last)
        count, last = count + 1, at
        if count > read then
          new[#new + 1] = { path, id, hash, status }
        end
      end
      read = count
      return new
    end

    local function post(path, options)
      shell.run("curl --silent --max-time 0.5 " .. (options or "") .. " " .. shell.quote(brief:url(path)))
    end

    it("writes what came and how it was answered", function()
      -- The hashes are FNV's own test vectors.
      post "/ok?x=%20"
      post("/status/503", "-H 'Webhook-Id: evt_1' --data-binary a")
      post("/echo", "-H 'webhook-id: a b' --data-binary foobar")
      assert.same({
        { "/ok?x=%20", "-", "cbf29ce484222325", 200 },
        { "/status/503", "evt_1", "af63dc4c8601ec8c", 503 },
        { "/echo", "a?b", "85944171f73967e8", 200 },
      }, arrivals())
    end)

    it("writes 0 where no whole answer comes", function()
      local expected = {}
      for i, path in ipairs { "/hang", "/reset", "/close", "/garbage", "/half", "/half-head", "/flaky-reset/100" } do
        post(path)
        expected[i] = { path, "-", "cbf29ce484222325", 0 }
      end
      assert.same(expected, arrivals())
    end)

    it("writes the status of each answer", function()
      local expected = {}
      for path, status in pairs {
        ["/delay/0.01"] = 200, ["/flaky/100"] = 500, ["/flaky-reset/0"] = 200, ["/sequence/502,200"] = 502,
        ["/no-content"] = 204, ["/redirect?to=/"] = 302, ["/big/10"] = 200, ["/continue"] = 200, ["/status/x"] = 400,
      } do
        post(path)
        expected[#expected + 1] = { path, "-", "cbf29ce484222325", status }
      end
      assert.same(expected, arrivals())
    end)
  end)

  it("ends when a spec stops it", function()
    local other = receiver.start()
    other:stop()
    assert.equal(1, (select(2, shell.run("kill -0 " .. other.pid))))
  end)
end)
