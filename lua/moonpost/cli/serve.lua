--- moonpost serve, reload, stop, status: the HTTP API in an nginx of its own, by a run folder that has its config and its pid.
local admin = require "moonpost.admin"
local config = require "moonpost.config"
local core = require "moonpost.core"
local nginx = require "moonpost.cli.nginx"
local output = require "moonpost.cli.output"
local serve_conf = require "moonpost.cli.serve_conf"

local serve = {}

-- Seconds in which new workers must be there; between two looks.
local RELOAD, LOOK = 10, 0.05
-- Seconds that an nginx which was told to end at once may take.
local KILLED = 5

local function load_config(args)
  return config.load(args.config or os.getenv "MOONPOST_CONFIG" or "config/server.lua")
end

-- ---- starting ---------------------------------------------------------------------------------------

local function warn(text, ...)
  io.stderr:write("moonpost: warning: ", text:format(...), "\n")
end

-- nginx's listen, and whether others than this machine's can reach it.
local function address(text)
  if text:find "^unix:/[^%s;]+$" then return text, false end
  local host, port = text:match "^%[([%x:.]+)%]:(%d+)$"
  if host then
    host = "[" .. host .. "]"
  else
    host, port = text:match "^([%w.-]+):(%d+)$"
  end
  if not host then host, port = "127.0.0.1", text:match "^(%d+)$" end
  if not port or tonumber(port) < 1 or tonumber(port) > 65535 then
    return nil, ("--listen: expected 127.0.0.1:1337, [::1]:1337, 1337 or unix:/path, got '%s'"):format(text)
  end
  local loopback = host:find "^127%.%d+%.%d+%.%d+$" or host == "localhost" or host == "[::1]"
  return host .. ":" .. port, not loopback
end

-- The names of this process's environment variables, but for nginx's own.
local function environment()
  local names = {}
  for name in nginx.run("env -0 2>/dev/null | tr '\\n\\0' ' \\n'"):gmatch "([%a_][%w_]*)=[^\n]*\n" do
    if not name:find "^NGINX" and name ~= "_" then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function folder(path)
  local stat = core.stat(path)
  if not stat then
    local ok, message, code = core.mkdir(path)
    if not ok then return nil, message, code end
  elseif stat.type ~= "directory" then
    return nil, ("--run-dir: %s is not a folder"):format(path), "EINVAL"
  end
  return core.realpath(path)
end

-- The run folder's path, which need not be there.
local function run_dir(args, loaded)
  if args.run_dir then return args.run_dir end
  if loaded.store ~= ":memory:" then return loaded.store .. "-run" end
  return nil, "--run-dir: expected a folder, for a store in memory has none beside it", "EINVAL"
end

local function file_option(args, name)
  local path, message, code = core.realpath(args[name])
  if path then return path end
  return nil, ("--%s: %s"):format(name:gsub("_", "-"), message), code
end

local function tls_files(args)
  if not args.tls_cert and not args.tls_key then return {} end
  if not args.tls_cert or not args.tls_key then return nil, "expected --tls-cert and --tls-key together", "EINVAL" end
  local cert, message, code = file_option(args, "tls_cert")
  if not cert then return nil, message, code end
  local key
  key, message, code = file_option(args, "tls_key")
  if not key then return nil, message, code end
  return { cert = cert, key = key }
end

local function is_root()
  return nginx.run "id -u" == "0\n"
end

-- What the config is made of, or what is wrong with the arguments.
local function options_of(args, loaded, directory)
  local listen, exposed = address(args.listen)
  if not listen then return nil, exposed, "EINVAL" end
  local tls, message, code = tls_files(args)
  if not tls then return nil, message, code end
  if args.user and not args.user:find "^[%w_][%w_.-]*$" then
    return nil, ("--user: expected a user's name, got '%s'"):format(args.user), "EINVAL"
  end
  if exposed and not tls.cert then
    warn("others can reach %s, and there is no TLS: tokens and events can be read on the way (--tls-cert, or a proxy in front)", listen)
  end
  local user = args.user
  if not user and is_root() then
    warn "running as root: --user names who the workers are"
    user = "root"
  end
  local found
  found, message, code = nginx.find(args.nginx)
  if not found then return nil, message, code end
  local paths = nginx.lua_paths()
  if not paths then warn "LuaJIT does not find moonpost here: nginx looks where it looks by itself" end
  return {
    config = core.realpath(loaded.file), run_dir = directory, listen = listen, workers = args.workers, modules = found.modules,
    environment = environment(), paths = paths, most = admin.max_body(loaded), user = user, tls_cert = tls.cert,
    tls_key = tls.key, behind_tls = args.behind_tls, program = found.program,
  }
end

-- ---- a running one ----------------------------------------------------------------------------------

local function read_file(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read "*a"
  file:close()
  return text
end

-- The pid of the nginx that has the run folder; nil: there is none. A pid may be another's by now.
local function running(directory)
  local pid = (read_file(directory .. "/nginx.pid") or ""):match "^(%d+)%s*$"
  local line = pid and read_file("/proc/" .. pid .. "/cmdline") or ""
  return line:find(directory .. "/nginx.conf", 1, true) and pid or nil
end

-- Its workers but those that are ending, by pid.
local function workers(pid)
  local found = {}
  for _, entry in ipairs(core.listdir "/proc" or {}) do
    local stat = entry.name:find "^%d+$" and read_file("/proc/" .. entry.name .. "/stat") or ""
    if stat:match "^.*%) %a (%d+) " == pid then
      local line = read_file("/proc/" .. entry.name .. "/cmdline") or ""
      if line:find("worker process", 1, true) and not line:find("shutting down", 1, true) then found[entry.name] = true end
    end
  end
  return found
end

local function find_running(args)
  local loaded, message, code = load_config(args)
  if not loaded and not args.run_dir then return nil, message, code end
  local directory
  directory, message, code = run_dir(args, loaded)
  if not directory then return nil, message, code end
  directory = core.realpath(directory) or directory
  local pid = running(directory)
  if pid then return { pid = pid, run_dir = directory } end
  return nil, ("%s: no server runs"):format(directory), "ENOENT"
end

local function wait_until(seconds, condition)
  local deadline = core.now() + seconds
  while not condition() do
    if core.now() > deadline then return false end
    core.sleep(LOOK)
  end
  return true
end

local function signal(name, pid)
  local _, ok = nginx.run(("kill -%s %s 2>/dev/null"):format(name, pid))
  return ok
end

local function report(args, value, text)
  if args.json then output.json(value) else output.line(text) end
  return true
end

--- Starts nginx in this process, and does not return when that works.
---@return true|nil
---@return string? message
---@return string? code
function serve.serve(args)
  local loaded, message, code = load_config(args)
  if not loaded then return nil, message, code end
  local path
  path, message, code = run_dir(args, loaded)
  if not path then return nil, message, code end
  local directory
  directory, message, code = folder(path)
  if not directory then return nil, message, code end
  local options
  options, message, code = options_of(args, loaded, directory)
  if not options then return nil, message, code end
  local text = serve_conf.text(options)
  if args.print_conf then
    output.raw(text)
    return true
  end
  local pid = running(directory)
  if pid then return nil, ("%s: a server runs already (pid %s)"):format(directory, pid), "EBUSY" end
  local file = directory .. "/nginx.conf"
  local ok
  ok, message, code = core.write_private(file, text)
  if not ok then return nil, message, code end
  io.stderr:write(("moonpost: listening on %s, %d worker%s, config %s\n"):format(options.listen, options.workers,
    options.workers == 1 and "" or "s", options.config))
  output.flush()
  return core.exec { options.program, "-p", directory, "-e", "stderr", "-c", file }
end

--- Has the server read its config anew. A config that is wrong changes nothing.
function serve.reload(args)
  local server, message, code = find_running(args)
  if not server then return nil, message, code end
  local before = workers(server.pid)
  if not signal("HUP", server.pid) then return nil, ("pid %s: cannot be told"):format(server.pid), "EIO" end
  local fresh = wait_until(RELOAD, function()
    for pid in pairs(workers(server.pid)) do
      if not before[pid] then return true end
    end
  end)
  if not fresh then return nil, "not reloaded: the server goes on with what it has, and says why on its standard error", "EINVAL" end
  return report(args, { reloaded = true, pid = tonumber(server.pid) }, ("reloaded (pid %s)"):format(server.pid))
end

--- Ends the server, after the requests under way.
function serve.stop(args)
  local server, message, code = find_running(args)
  if not server then return nil, message, code end
  local function ended() return running(server.run_dir) ~= server.pid end
  local graceful = signal("QUIT", server.pid) and wait_until(args.wait, ended)
  if not graceful and not (signal("TERM", server.pid) and wait_until(KILLED, ended)) then
    return nil, ("pid %s: does not end"):format(server.pid), "ETIMEDOUT"
  end
  return report(args, { stopped = true, pid = tonumber(server.pid), graceful = graceful },
    ("stopped (pid %s)%s"):format(server.pid, graceful and "" or ", with requests under way"))
end

--- Says whether the server runs.
function serve.status(args)
  local server, message, code = find_running(args)
  if not server then return nil, message, code end
  local text = read_file(server.run_dir .. "/nginx.conf") or ""
  local count = 0
  for _ in pairs(workers(server.pid)) do count = count + 1 end
  local listen, file = text:match "\n    listen ([^%s;]+)", text:match "\n# config: ([^\n]+)"
  if args.json then
    output.json { pid = tonumber(server.pid), workers = count, listen = listen, config = file, run_dir = server.run_dir }
  else
    output.fields { { "pid", server.pid }, { "workers", count }, { "listen", listen }, { "config", file }, { "run", server.run_dir } }
  end
  return true
end

return serve
