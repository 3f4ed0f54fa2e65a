--- What `moonpost init` writes.
local script_templates = require "moonpost.cli.script_templates"

local templates = {
  { path = "config/server.lua", text = [[
-- moonpost's configuration. Paths are relative to this file's folder. `moonpost check` checks it.
-- Secrets come from the environment: env("NAME"), or env("NAME", "a default").
return {
  webhooks = {
    -- Header fields of every request; a webhook's own override them.
    -- defaultHeaders = { Authorization = "Bearer " .. env("HOOK_TOKEN") },

    -- The SQLite file that holds events and deliveries.
    store = "../data/moonpost.db",

    -- The folder of Strapi model files (v3 *.settings.json, v4 and v5 schema.json, components), or a table.
    models = "../models",

    -- The folder of Lua scripts: which webhook gets an event, and what of it. A webhook names its own: script = "slack".
    scripts = "../hooks",

    -- Scripts that run for every event, in this order, before a webhook's own.
    -- globalScripts = { "tenants", "redact" },

    -- What scripts find in their table constants.
    -- constants = { tenants = { acme = { "acme-crm" } } },

    -- Webhooks kept as code. They appear beside those in the store, and are read-only.
    endpoints = {
      -- { name = "search", url = "https://search.example/hook", events = { "entry.*" }, models = { "address" } },
    },

    -- Event types beyond the eight.
    -- events = { "order.paid" },

    -- delivery = {
    --   timeout = 15, connectTimeout = 5,       -- seconds
    --   concurrency = 10, maxConcurrency = 256, -- requests at a time: of one webhook, of all
    --   threads = 2,                            -- that send
    --   retrySchedule = { 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400 }, -- seconds
    --   proxy = "http://proxy:3128",            -- default: none
    --   userAgent = "shop/1.0",                 -- default: moonpost and its version
    -- },

    -- What is sent of keys that a model does not have ("drop", "keep"), and of users inside entries ("id", "keep").
    -- sanitize = { unknownAttributes = "drop", embeddedUsers = "id", privateAttributes = {} },

    -- Requests go to public addresses. allow opens others, by CIDR or host name; deny closes, whatever allows; with ports
    -- no others are dialled.
    -- network = { allow = { "127.0.0.0/8", "::1", "localhost" }, deny = {}, ports = { 443 } },

    -- limits = {
    --   eventSize = 1048576, inbox = 10000, inboxBytes = 67108864, emitTimeout = 30,
    --   scriptTime = 0.05, scriptInstructions = 10000000, scriptMemory = 16777216, -- of one call of a script
    -- },
    -- log = { level = "warn", format = "text" }, -- or "json"; to standard error
  },
}
]] },
  { path = "models/address.settings.json", text = [[
{
  "kind": "collectionType",
  "info": { "name": "address" },
  "options": { "timestamps": true, "draftAndPublish": false },
  "attributes": {
    "geolocation": { "type": "json" },
    "city": { "type": "string", "required": true },
    "postal_code": { "type": "string" },
    "full_name": { "type": "string" },
    "cover": { "model": "file", "plugin": "upload" },
    "images": { "collection": "file", "plugin": "upload" },
    "internal_notes": { "type": "text", "private": true },
    "door_code": { "type": "password" }
  }
}
]] },
  { path = ".gitignore", text = "/data/\n" },
}
for _, script in ipairs(script_templates) do templates[#templates + 1] = script end

return templates
