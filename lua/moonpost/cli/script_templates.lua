--- The example scripts that `moonpost init` writes.
return {
  { path = "hooks/filter.lua", text = [[
-- Which events a webhook gets: by model, by event, by what is in the entry.
-- Use: a webhook with script = "filter". Try it: moonpost script test hooks/filter.lua --event event.json
return {
  -- Only these events and models reach the script; all others pass it by, and are sent. Leave them out to see everything.
  events = { "entry.create", "entry.update" },
  models = { "address" },

  -- true sends the event, false and nil do not. It must decide alike whenever it is asked: there is no clock, and math.random
  -- gives the same numbers for the same event.
  filter = function(event, webhook)
    local entry = event.entry
    if entry.city == nil then return false end
    log.info(webhook.name, "is asked about", entry.city)
    return entry.city == "Paris" or entry.city:find("^Saint%-") ~= nil
  end,
}
]] },
  { path = "hooks/redact.lua", text = [[
-- Takes away what no receiver shall have. What the models call private is gone before any script sees it; this is for the rest.
-- Use: globalScripts = { "redact" }: it then runs for every webhook, before the webhook's own script.
return {
  models = { "address" },

  -- payload is what is sent: payload.event, .created_at, .model and .entry. Change it and return it; nil sends it as it was.
  transform = function(payload)
    local entry = payload.entry
    entry.full_name = nil
    if entry.postal_code then entry.postal_code = entry.postal_code:sub(1, 2) .. "***" end
    return payload
  end,
}
]] },
  { path = "hooks/tenants.lua", text = [[
-- Sends each event to its tenant's webhooks only. One event goes to as many as are named.
-- Use: globalScripts = { "tenants" }, and in the config
--   constants = { tenants = { acme = { "acme-crm", "acme-search" } }, everybody = { "audit" } }
-- route counts in global scripts alone.
return {
  events = { "entry.*" },

  -- Names of webhooks: they get the event, whatever they subscribe to. {} sends it to none; nil leaves it to the subscriptions.
  route = function(event)
    local tenant = event.entry.tenant
    if tenant == nil then return nil end
    local names = {}
    for _, name in ipairs(constants.everybody or {}) do names[#names + 1] = name end
    for _, name in ipairs((constants.tenants or {})[tenant] or {}) do names[#names + 1] = name end
    return names
  end,
}
]] },
  { path = "hooks/github.lua", text = [[
-- Starts a GitHub Actions workflow (workflow_dispatch).
-- Use: a webhook with script = "github", the URL
--   https://api.github.com/repos/OWNER/REPOSITORY/actions/workflows/build.yml/dispatches
-- and the header Authorization = "Bearer " .. env("GITHUB_TOKEN").
return {
  events = { "entry.publish", "entry.unpublish", "entry.update" },

  transform = function(payload)
    -- A table without entry or media is sent as it is. GitHub takes only texts as inputs.
    return {
      ref = "main",
      inputs = { event = payload.event, model = payload.model, id = tostring(payload.entry.id) },
    }, { headers = { Accept = "application/vnd.github+json", ["X-GitHub-Api-Version"] = "2022-11-28" } }
  end,
}
]] },
  { path = "hooks/slack.lua", text = [[
-- A message in Slack, for an incoming webhook (https://hooks.slack.com/services/...).
-- Use: a webhook with script = "slack".
local text = require "lib.text" -- hooks/lib/text.lua; at the top of the file, so that it belongs to this version

local VERBS = { create = "created", update = "changed", delete = "deleted", publish = "published", unpublish = "taken back" }

return {
  events = { "entry.*" },

  transform = function(payload)
    local entry = payload.entry
    local verb = payload.event:match "%.(%w+)$"
    local name = entry.title or entry.name or entry.city or ("number " .. tostring(entry.id))
    return { text = ("*%s* was %s: %s"):format(text.slack(payload.model), VERBS[verb] or verb, text.slack(text.short(name, 200))) }
  end,
}
]] },
  { path = "hooks/lib/text.lua", text = [[
-- What several scripts need. Files in hooks/lib are loaded by require alone.
local text = {}

--- At most so many characters.
function text.short(value, most)
  value = tostring(value)
  if utf8.len(value) <= most then return value end
  return value:sub(1, utf8.offset(value, most) - 1) .. "…"
end

--- Slack's own characters are escaped.
function text.slack(value)
  return (tostring(value):gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

return text
]] },
  { path = "hooks/build.lua", text = [[
-- Has a static site built anew (Netlify, Vercel, Cloudflare Pages: "build hooks") when something that is on it has changed.
-- Use: a webhook with script = "build" and order = "webhook": one build is asked for after the other.
return {
  events = { "entry.publish", "entry.unpublish", "entry.update", "entry.delete", "media.update", "media.delete" },

  -- A draft is not on the site.
  filter = function(event)
    if event.event ~= "entry.update" and event.event ~= "entry.delete" then return true end
    return event.entry.published_at ~= json.null
  end,

  -- The receiver needs nothing but the request; the title tells people in its log what it was for.
  transform = function(payload)
    return json.encode { trigger_title = payload.event .. " " .. (payload.model or "media") }, { content_type = "application/json" }
  end,
}
]] },
}
