--- The command line. Exit codes: 0 it worked, 1 it failed (the reason is on standard error), 2 wrong usage.
local argparse = require "argparse"
local moonpost = require "moonpost"
local deliveries = require "moonpost.cli.deliveries"
local listen = require "moonpost.cli.listen"
local output = require "moonpost.cli.output"
local project = require "moonpost.cli.project"
local remote = require "moonpost.remote"
local script_test = require "moonpost.cli.script_test"
local scripts = require "moonpost.cli.scripts"
local serve = require "moonpost.cli.serve"
local tail = require "moonpost.cli.tail"
local token = require "moonpost.cli.token"
local verify = require "moonpost.cli.verify"
local webhooks = require "moonpost.cli.webhooks"

local cli = {}

local function json_flag(command)
  command:flag("--json", "Print JSON.")
  return command
end

-- A command that works on a config's store alone.
local function on_config(command)
  command:option("-c --config", "The config file (default: $MOONPOST_CONFIG, or config/server.lua).")
  return json_flag(command)
end

local function server_options(command)
  command:option("--url", "Ask this server's HTTP API instead of a store (default: $MOONPOST_URL)."):target "server"
  command:option("--token", "What the server lets in. Others on this machine may see it here; $MOONPOST_TOKEN is not seen.")
end

-- A command that works on a config's store, or asks a running server.
local function on_store(command)
  server_options(command)
  return on_config(command)
end

-- Digits alone: tonumber takes hexadecimal too, and LuaJIT's "nan" and "inf".
local function between(least, most, pattern, kind)
  return function(text)
    local n = text:find(pattern) and tonumber(text)
    if not n or n < least or n > most then
      return nil, ("expected a %s between %d and %d, got '%s'"):format(kind, least, most, text)
    end
    return n
  end
end

local limit = between(1, 1000, "^%d+$", "whole number")
local seconds = between(0, 3600, "^%d+%.?%d*$", "number")

local function webhook_options(command, required)
  local name, url = command:option("--name", "Its name."), command:option("--url", "Where requests go.")
  if required then
    name:count(1)
    url:count(1)
  end
  command:option("--header", "A header field, \"Name: value\"; may be repeated."):count "*"
  command:option("--event", "Events, entry.*, or *, with commas between them; may be repeated."):count(required and "+" or "*")
  command:option("--model", "Only this model's events; may be repeated."):count "*"
  command:option("--concurrency", "Requests under way at a time."):convert(between(1, 1000, "^%d+$", "whole number"))
  command:option("--rate", "Attempts that begin in a second."):convert(between(0.001, 100000, "^%d+%.?%d*$", "number"))
  command:option("--burst", "With --rate: how many begin at once after a rest."):convert(between(1, 100000, "^%d+$", "whole number"))
  command:option("--order", "One delivery at a time (webhook), one of each key (key), or as they come (none).")
    :choices { "none", "webhook", "key" }
  command:mutex(command:option("--secret", "What requests are signed with (whsec_...; others on this machine may see it here)."),
    command:flag("--no-secret", "Requests are not signed."))
  command:flag("--ed25519", "Sign with a new ed25519 key too.")
  command:option("--on-enable", "What becomes of what was held while it was disabled."):choices { "send", "discard" }
  command:option("--tls", "How its receiver is verified: ca=FILE, cert=FILE, key=FILE, pin=sha256//..., minVersion=1.3, insecure=true; "
    .. "may be repeated."):count "*"
  local proxy = command:option("--proxy", "The proxy of its requests (http://proxy:3128).")
  if not required then
    command:flag("--no-tls", "Verify its receiver as usual, but for what --tls says.")
    command:mutex(proxy, command:flag("--no-proxy", "The config's again."))
  end
  local script = command:option("--script", "The script that its deliveries go through: a file of webhooks.scripts, without .lua.")
  if not required then command:mutex(script, command:flag("--no-script", "None any more.")) end
end

local function add_webhooks(parser)
  local group = parser:command("webhooks", "Show and change webhooks.")
  group:command_target "action"
  -- The --url of those that write is the webhook's; the server's stands before the command.
  local function command(name, description, writes)
    local result = (writes and on_config or on_store)(group:command(name, description))
    result:flag("--show-secrets", "Print header values, passwords in URLs and what requests are signed with in full.")
    return result
  end
  command("list", "All of them.")
  command("get", "One."):argument("id", "The webhook's id.")
  local add = command("add", "Make one.", true)
  webhook_options(add, true)
  add:flag("--disabled", "Keep its deliveries until it is enabled.")
  local set = command("set", "Change one.", true)
  set:argument("id", "The webhook's id.")
  webhook_options(set, false)
  set:flag("--all-models", "Every model's events again.")
  set:option("--no-header", "Take a header field away; may be repeated."):count "*"
  set:mutex(set:flag("--enable", "Send to it."), set:flag("--disable", "Keep its deliveries."))
  local rotate = command("rotate-secret", "Give one a new secret; the old one signs for a while too.")
  rotate:argument("id", "The webhook's id.")
  rotate:option("--secret", "The new one (whsec_...); without it one is made.")
  rotate:option("--overlap", "Seconds for which the old one signs too (at most 604800)."):default("86400")
    :convert(between(0, 604800, "^%d+%.?%d*$", "number"))
  command("rm", "Delete one."):argument("id", "The webhook's id.")
  command("trigger", "Send a trigger-test now."):argument("id", "The webhook's id.")
end

local function add_deliveries(parser)
  local group = parser:command("deliveries", "Show deliveries, and send them again.")
  group:command_target "action"
  local list = on_store(group:command("list", "Newest first."))
  list:option("--webhook", "Only this webhook's.")
  list:option("--event", "Only this event's (its id).")
  list:option("--state", "Only those that are waiting, leased, delivered, dead, held or filtered.")
  list:option("--limit", "At most so many (1 to 1000)."):default("100"):convert(limit)
  list:option("--before", "Only older than this delivery.")
  on_store(group:command("show", "One, with its attempts and its body.")):argument("id", "The delivery's id.")
  local resend = on_store(group:command("resend", "Send one again: the same bytes."))
  resend:argument("id", "The delivery's id.")
  resend:flag("--rerun", "Not the same bytes: what the scripts as they are now make of the event.")
  resend:option("--wait", "Seconds to wait for the answer."):default("10"):convert(seconds)
  local follow = on_store(group:command("tail", "Each as it comes and as it ends, until it is interrupted."))
  follow:option("--webhook", "Only this webhook's.")
  follow:option("--state", "Only those that are waiting, leased, delivered, dead, held or filtered.")
  follow:option("--interval", "Seconds between two looks."):default("1"):convert(between(0.1, 3600, "^%d+%.?%d*$", "number"))
  follow:option("--for", "End after so many seconds."):convert(seconds)
  local replay = on_store(group:command("replay", "Send the events of a time again to one webhook: the same bytes."))
  replay:option("--webhook", "The webhook's id."):count(1)
  replay:option("--since", "Only events from this time on (2026-01-10T08:00:00Z).")
  replay:option("--until", "Only events before this time.")
  replay:option("--state", "Only those whose delivery is dead, or held by a script; or all that the webhook wants.")
    :choices { "dead", "held", "all" }
    :default "dead"
  replay:option("--limit", "At most so many."):default("10000"):convert(between(1, 1000000, "^%d+$", "whole number"))
  replay:option("--after", "Go on after this event: what an earlier replay printed.")
  replay:option("--wait", "Seconds to wait for the answers."):default("10"):convert(seconds)
end

local function add_events(parser)
  local group = parser:command("events", "Show what was accepted.")
  group:command_target "action"
  local list = on_store(group:command("list", "Newest first."))
  list:option("--type", "Only this type.")
  list:option("--routing", "held: only those of whose routing a script failed."):choices { "held" }
  list:option("--limit", "At most so many (1 to 1000)."):default("100"):convert(limit)
  list:option("--before", "Only older than this event.")
  on_store(group:command("show", "One, with its body.")):argument("id", "The event's id.")
end

local function add_scripts(parser)
  local group = on_store(parser:command("scripts", "Show the scripts: their versions, what they cost, what is wrong with them."))
  group:require_command(false):command_target "action"
  on_store(group:command("list", "All of them."))
  local script = parser:command("script", "Work on a script.")
  script:command_target "action"
  local test = on_config(script:command("test", "Run an event through a script as the engine would; nothing is sent or stored."))
  test:argument("file", "The script, such as hooks/crm.lua.")
  test:option("--event", "The event's file, as emit and events show have it: { \"event\", \"model\", \"entry\" }; - is standard input.")
    :count(1)
  test:option("--webhook", "The name of the endpoint in the config that it is for (default: the first with this script).")
end

local function add_tokens(parser)
  local group = parser:command("token", "Who may use the HTTP API.")
  group:command_target "action"
  local add = on_config(group:command("add", "Make a token, and print it: it is not shown again."))
  add:option("--name", "What it is listed by."):count(1)
  add:option("--scopes", "What it may: read, write, emit, with commas between them."):count(1)
  on_config(group:command("list", "All of them, without what would let anyone in."))
  on_config(group:command("rm", "Take one away.")):argument("name", "Its name.")
end

local function add_verify(parser)
  local command = json_flag(parser:command("verify", "Is a request what its sender signed?"))
  command:option("--secret", "whsec_... or whpk_...; may be repeated. Others on this machine may see it here; $MOONPOST_SECRET is "
    .. "not seen."):count "*"
  command:option("--header", "A header field of the request, \"Name: value\"; may be repeated."):count "*"
  command:option("--headers", "A file with its header fields, one a line; - is standard input.")
  command:option("--body", "Its body's file; - is standard input."):default "-"
  command:option("--tolerance", "Seconds that its timestamp may be from now."):default("300")
    :convert(between(0, 1e12, "^%d+$", "whole number"))
  command:option("--now", "Seconds since 1970, in place of the clock's."):convert(between(0, 1e12, "^%d+$", "whole number"))
end

local function add_listen(parser)
  local command = json_flag(parser:command("listen", "Receive webhooks: a receiver for development."))
  command:argument("port", "Where; 0: any that is free."):default("8080"):convert(between(0, 65535, "^%d+$", "whole number"))
  command:option("--host", "The address to listen on."):default "127.0.0.1"
  command:option("--status", "What to answer."):default("200"):convert(between(200, 599, "^%d+$", "whole number"))
  command:option("--delay", "Seconds to wait before the answer."):default("0"):convert(seconds)
  command:option("--secret", "Say whether requests are signed with it (whsec_... or whpk_...); may be repeated. $MOONPOST_SECRET "
    .. "is not seen by others."):count "*"
  command:option("--forward", "Pass requests on to this URL, and answer what it answers.")
  command:option("--color", "Colours."):choices { "auto", "always", "never" }:default "auto"
  command:option("--count", "End after so many requests."):convert(between(1, 1000000, "^%d+$", "whole number"))
  command:option("--for", "End after so many seconds."):convert(seconds)
end

local function add_serve(parser)
  local function on_run_dir(command)
    command:option("--run-dir", "The folder of the server's nginx.conf and pid (default: the store's path and -run).")
    return on_config(command)
  end
  local command = parser:command("serve", "Serve the HTTP API and deliver: an nginx, until it is ended.")
  command:option("-c --config", "The config file (default: $MOONPOST_CONFIG, or config/server.lua).")
  command:option("--run-dir", "The folder of the server's nginx.conf and pid (default: the store's path and -run).")
  command:option("--listen", "Where: an address and a port, or unix:/path."):default "127.0.0.1:1337"
  command:option("--workers", "Processes; one does for thousands of events a second."):default("1")
    :convert(between(1, 64, "^%d+$", "whole number"))
  command:option("--tls-cert", "The certificate's file, PEM.")
  command:option("--tls-key", "Its key's file, PEM.")
  command:flag("--behind-tls", "A proxy in front ends TLS: cookies are for https alone.")
  command:option("--user", "Who the workers are, when this is root.")
  command:option("--nginx", "The program (default: openresty or nginx, as it is found).")
  command:flag("--print-conf", "Print the nginx.conf, and start nothing.")
  server_options(on_run_dir(parser:command("reload", "Have the server read its config and scripts anew; with --url: any server, its "
    .. "scripts.")))
  on_run_dir(parser:command("stop", "End the server.")):option("--wait", "Seconds for requests under way."):default("30")
    :convert(seconds)
  on_run_dir(parser:command("status", "Does the server run?"))
end

local function new_parser()
  local parser = argparse("moonpost", "Webhooks from Lua hosts: emit events, see what became of them.")
  parser:command_target "command"
  parser:flag("--version", "Print the version."):action(function()
    io.stdout:write("moonpost ", moonpost._VERSION, "\n")
    os.exit(0)
  end)
  parser:option("-c --config", "The config file (default: $MOONPOST_CONFIG, or config/server.lua).")
  server_options(parser)
  json_flag(parser:command("init", "Write a commented config, a model and a script folder."))
    :argument("dir", "The folder, made if it is missing.")
  json_flag(parser:command("check", "Check a config, offline.")):argument("file", "The config file.")
  on_config(parser:command("rekey", "Seal the store's secrets with another key: $MOONPOST_NEW_KEY, or one that is made. Stop what uses "
    .. "the store first."))
  local emit = on_store(parser:command("emit", "Emit an event and show its deliveries."))
  emit:argument("event", "Its type, such as entry.create.")
  emit:option("--model", "The entry's model.")
  emit:mutex(emit:option("--entry", "The entry, as JSON."), emit:option("--entry-file", "Its file; - is standard input."))
  emit:mutex(emit:option("--media", "The file's entry, as JSON."),
    emit:option("--media-file", "Its file; - is standard input."))
  emit:option("--idempotency-key", "The same key within 24 hours stores nothing again.")
  emit:option("--wait", "Seconds to wait for the deliveries; 0: not at all."):default("10"):convert(seconds)
  add_webhooks(parser)
  add_deliveries(parser)
  add_events(parser)
  add_scripts(parser)
  add_tokens(parser)
  add_listen(parser)
  add_verify(parser)
  add_serve(parser)
  on_config(parser:command("prune", "Forget now what is past its age (webhooks.retention)."))
  on_store(parser:command("stats", "Count what is in the store."))
  on_store(parser:command("metrics", "Print metrics in Prometheus' text format."))
  parser:add_complete_command()
  return parser
end

local COMMANDS = {
  emit = deliveries.emit,
  prune = deliveries.prune,
  stats = deliveries.stats, metrics = deliveries.metrics,
  scripts = scripts.list,
  webhooks = webhooks,
  deliveries = { list = deliveries.list, show = deliveries.show, resend = deliveries.resend,
    replay = deliveries.replay, tail = tail },
  events = { list = deliveries.events, show = deliveries.event },
}

local function fail(message, code)
  io.stderr:write("moonpost: ", message, code and (" (%s)"):format(code) or "", "\n")
  return 1
end

local function open_hooks(args)
  local url = args.server or not args.config and os.getenv "MOONPOST_URL"
  if not url then return moonpost.open(args.config or os.getenv "MOONPOST_CONFIG" or "config/server.lua") end
  if args.server and args.config then return nil, "expected one of --url and --config, got both", "EINVAL" end
  return remote.open(url, { token = args.token or os.getenv "MOONPOST_TOKEN", show_secrets = args.show_secrets })
end

local function on_hooks(args, run)
  local hooks, message, code = open_hooks(args)
  if not hooks then return nil, message, code end
  local ok
  ok, message, code = run(hooks, args)
  output.flush() -- before a close that may take its time
  hooks:close(2)
  return ok, message, code
end

-- Scripts are loaded by the process that sends: another one's engine would load its own.
local function reload(args)
  if args.server or not (args.config or args.run_dir) and os.getenv "MOONPOST_URL" then return on_hooks(args, scripts.reload) end
  return serve.reload(args)
end

--- Runs a command line.
---@param argv string[]
---@return integer exit_code
function cli.main(argv)
  local parser = new_parser()
  local parsed, args = parser:pparse(argv)
  if not parsed then
    io.stderr:write(parser:get_usage(), "\n\nmoonpost: ", tostring(args), "\n")
    return 2
  end
  local ok, message, code
  if args.command == "init" or args.command == "check" or args.command == "rekey" then
    ok, message, code = project[args.command](args)
  elseif args.command == "listen" then
    ok, message, code = listen(args)
  elseif args.command == "verify" then
    ok, message, code = verify.run(args)
  elseif args.command == "script" then
    ok, message, code = script_test(args)
  elseif args.command == "reload" then
    ok, message, code = reload(args)
  elseif serve[args.command] then
    ok, message, code = serve[args.command](args)
  elseif args.command == "token" then
    ok, message, code = token[args.action](args)
  else
    local run = COMMANDS[args.command]
    if type(run) == "table" then run = run[(args.action:gsub("-", "_"))] end
    ok, message, code = on_hooks(args, run)
  end
  if ok then ok, message, code = output.flush() end
  return ok and 0 or fail(message, code)
end

return cli
