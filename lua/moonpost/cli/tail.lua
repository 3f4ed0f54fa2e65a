--- moonpost deliveries tail: looks again and again, and prints what is new or has changed.
local core = require "moonpost.core"
local output = require "moonpost.cli.output"

-- How many of the newest deliveries a look takes: what is older is followed no further.
local WINDOW = 500

local function line_of(delivery)
  local last = delivery.last or {}
  return ("%s  %-9s  %s  webhook %s  attempt %d%s%s"):format(last.at or delivery.created_at, delivery.state, delivery.id,
    delivery.webhook_id, delivery.attempts, last.status and ("  %d"):format(last.status) or "",
    last.class and ("  %s: %s"):format(last.class, last.error or "") or "")
end

local function mark(delivery)
  return ("%s %d"):format(delivery.state, delivery.attempts)
end

-- Prints what differs from what was seen; answers what is seen now.
local function show(list, seen, args, quiet)
  local now = {}
  for i = #list, 1, -1 do -- oldest first
    local delivery = list[i]
    now[delivery.id] = mark(delivery)
    if not quiet and seen[delivery.id] ~= now[delivery.id] then
      if args.json then output.json(delivery) else output.line(line_of(delivery)) end
    end
  end
  return now
end

local function tail(hooks, args)
  local deadline = args["for"] and core.now() + args["for"]
  local seen, first = {}, true
  repeat
    local list, message, code = hooks.deliveries:list { webhook_id = args.webhook, state = args.state, limit = WINDOW }
    if not list then return nil, message, code end
    seen, first = show(list, seen, args, first), false
    local ok
    ok, message, code = output.flush()
    if not ok then return nil, message, code end
    core.sleep(args.interval)
  until deadline and core.now() >= deadline
  return true
end

return tail
