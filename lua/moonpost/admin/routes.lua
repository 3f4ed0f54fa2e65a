--- The table of routes: what is answered, to whom, from what. The router, the checks of parameters and bodies, and
-- openapi.json are made of it.
local body = require "moonpost.admin.body"
local deliveries = require "moonpost.admin.deliveries"
local events = require "moonpost.admin.events"
local page = require "moonpost.admin.page"
local scripts = require "moonpost.admin.scripts"
local session = require "moonpost.admin.session"
local system = require "moonpost.admin.system"
local webhooks = require "moonpost.admin.webhooks"

local JSON, MERGE_PATCH, NDJSON = "application/json", "application/merge-patch+json", "application/x-ndjson"

local WEBHOOK_ID = { type = "integer", minimum = 1, maximum = 999999999999999, examples = { 1 } }
local EVENT_ID = { type = "string", pattern = "^evt_[0-7][0-9a-hjkmnp-tv-z]{12}$", examples = { "evt_38g9k6fy40000" } }
local DELIVERY_ID = {
  type = "string", pattern = "^dlv_[0-7][0-9a-hjkmnp-tv-z]{12}-[1-9][0-9]{0,14}$", examples = { "dlv_38g9k6fy40000-1" },
}
local EVENT_MATCH = "^evt_[0-7]" .. ("[0-9a-hjkmnp-tv-z]"):rep(12) .. "$"
local DELIVERY_MATCH = "^dlv_[0-7]" .. ("[0-9a-hjkmnp-tv-z]"):rep(12) .. "%-[1-9]%d*$"

-- A traceparent (https://www.w3.org/TR/trace-context/).
local HEX = "[0-9a-f]"
local TRACE_MATCH = ("^%s%%-%s%%-%s%%-%s$"):format(HEX:rep(2), HEX:rep(32), HEX:rep(16), HEX:rep(2))

local function parameter(place, name, schema, description, match)
  return { place = place, name = name, schema = schema, description = description, match = match }
end

-- Any text is allowed, and what is not of use is passed over: so the schema has no pattern.
local function lenient(name, description, match, example)
  local result = parameter("header", name, { type = "string", examples = { example } }, description, match)
  result.lenient = true
  return result
end

local WEBHOOK = parameter("path", "id", WEBHOOK_ID, "The webhook's id.")
local SECRETS = parameter("query", "show_secrets", { type = "boolean", default = false },
  "Header values, the URL's user name and password, and what requests are signed with in full; needs the scope write.")
local LIMIT = parameter("query", "limit", { type = "integer", minimum = 1, maximum = page.MAX, default = page.DEFAULT },
  "How many at most.")

local CONFLICT = "It is kept in the config; or a masked value or half a rate came, and there is nothing that it goes with."

local function routes_of(config)
  local list = {}
  local function add(route)
    route.parameters = route.parameters or {}
    list[#list + 1] = route
  end
  local function json_body(schema, types)
    return { types = types or { JSON }, schemas = { schema }, most = body.MAX }
  end

  add {
    method = "GET", path = "/admin/webhooks", id = "listWebhooks", tag = "webhooks", scope = "read", run = webhooks.list,
    summary = "All webhooks, those of the config included", parameters = { SECRETS },
    answers = { [200] = { "All of them.", "WebhookList" } },
  }
  add {
    method = "POST", path = "/admin/webhooks", id = "createWebhook", tag = "webhooks", scope = "write", run = webhooks.create,
    summary = "Make a webhook", parameters = { SECRETS }, body = json_body "NewWebhook",
    answers = { [201] = { "The new webhook.", "WebhookAnswer" } },
  }
  add {
    method = "POST", path = "/admin/webhooks/batch-delete", id = "deleteWebhooks", tag = "webhooks", scope = "write",
    run = webhooks.delete_many, summary = "Delete several webhooks", body = json_body "Ids",
    answers = {
      [200] = { "The ids; none of them is there any more.", "IdsAnswer" },
      [409] = { "One of them is kept in the config: none was deleted.", "Error" },
    },
  }
  add {
    method = "GET", path = "/admin/webhooks/:id", id = "getWebhook", tag = "webhooks", scope = "read", run = webhooks.get,
    summary = "One webhook", parameters = { WEBHOOK, SECRETS }, answers = { [200] = { "It.", "WebhookAnswer" } },
  }
  add {
    method = "PUT", path = "/admin/webhooks/:id", id = "updateWebhook", tag = "webhooks", scope = "write",
    run = webhooks.update, summary = "Change a webhook; what is left out stays", parameters = { WEBHOOK, SECRETS },
    body = json_body "WebhookChange",
    answers = { [200] = { "It, changed.", "WebhookAnswer" }, [409] = { CONFLICT, "Error" } },
  }
  add {
    method = "PATCH", path = "/admin/webhooks/:id", id = "patchWebhook", tag = "webhooks", scope = "write",
    run = webhooks.patch, summary = "Change single fields (RFC 7396)", parameters = { WEBHOOK, SECRETS },
    body = json_body("WebhookPatch", { MERGE_PATCH, JSON }),
    answers = { [200] = { "It, changed.", "WebhookAnswer" }, [409] = { CONFLICT, "Error" } },
  }
  add {
    method = "DELETE", path = "/admin/webhooks/:id", id = "deleteWebhook", tag = "webhooks", scope = "write",
    run = webhooks.delete, summary = "Delete a webhook", parameters = { WEBHOOK, SECRETS },
    answers = { [200] = { "The deleted one.", "WebhookAnswer" }, [409] = { "It is kept in the config.", "Error" } },
  }
  add {
    method = "POST", path = "/admin/webhooks/:id/rotate-secret", id = "rotateWebhookSecret", tag = "webhooks", scope = "write",
    run = webhooks.rotate, summary = "Give a webhook a new secret; the old one signs for the overlap too",
    parameters = { WEBHOOK, SECRETS }, body = json_body "Rotation",
    answers = {
      [200] = { "It, with the new secret.", "WebhookAnswer" },
      [409] = { "It is kept in the config; or five sign already, or the new one does.", "Error" },
    },
  }
  add {
    method = "POST", path = "/admin/webhooks/:id/trigger", id = "triggerWebhook", tag = "webhooks", scope = "write",
    run = webhooks.trigger, summary = "Send a trigger-test now, and wait for the answer", parameters = { WEBHOOK },
    answers = { [200] = { "What the receiver answered, or why it did not.", "TriggerAnswer" } },
  }
  add {
    method = "GET", path = "/admin/deliveries", id = "listDeliveries", tag = "deliveries", scope = "read",
    run = deliveries.list, summary = "Deliveries, newest first",
    parameters = {
      parameter("query", "webhook_id", WEBHOOK_ID, "Only this webhook's."),
      parameter("query", "event_id", EVENT_ID, "Only this event's.", EVENT_MATCH),
      parameter("query", "state", {
        type = "string", enum = { "waiting", "leased", "delivered", "dead", "held", "filtered" },
      }, "Only those in this state."),
      LIMIT, parameter("query", "before", DELIVERY_ID, "The next of the page before.", DELIVERY_MATCH),
    },
    answers = { [200] = { "A page.", "DeliveryPage" } },
  }
  add {
    method = "POST", path = "/admin/deliveries/replay", id = "replayDeliveries", tag = "deliveries", scope = "write",
    run = deliveries.replay, summary = "Send the events of a time again to one webhook",
    body = json_body "Replay", answers = {
      [202] = { "How many are made again, and where to go on.", "ReplayAnswer" },
      [404] = { "There is no such webhook.", "Error" },
      [409] = { "What is held was asked for, and the webhook is disabled: it goes when it is enabled.", "Error" },
    },
  }
  add {
    method = "GET", path = "/admin/deliveries/:id", id = "getDelivery", tag = "deliveries", scope = "read",
    run = deliveries.get, summary = "One delivery, with its attempts and its body",
    parameters = { parameter("path", "id", DELIVERY_ID, "The delivery's id.", DELIVERY_MATCH), SECRETS },
    answers = { [200] = { "It.", "DeliveryAnswer" } },
  }
  add {
    method = "POST", path = "/admin/deliveries/:id/resend", id = "resendDelivery", tag = "deliveries", scope = "write",
    run = deliveries.resend, summary = "Send a delivery again: the same bytes",
    parameters = {
      parameter("path", "id", DELIVERY_ID, "The delivery's id.", DELIVERY_MATCH),
      parameter("query", "rerun", { type = "boolean", default = false },
        "Not the same bytes: what the scripts as they are now make of the event."),
    },
    answers = {
      [202] = { "It, due now.", "DeliveryAccepted" },
      [409] = { "An attempt is under way.", "Error" },
    },
  }
  add {
    method = "GET", path = "/admin/events", id = "listEvents", tag = "events", scope = "read", run = events.list,
    summary = "Events, newest first", parameters = {
      parameter("query", "type", {
        type = "string", minLength = 1, maxLength = 255, pattern = "^[A-Za-z0-9_.-]+$", examples = { "entry.create" },
      }, "Only this type.", "^[%w_.-]+$"),
      parameter("query", "routing", { type = "string", enum = { "held" } }, "Only those of whose routing a script failed."),
      LIMIT, parameter("query", "before", EVENT_ID, "The next of the page before.", EVENT_MATCH),
    },
    answers = { [200] = { "A page.", "EventPage" } },
  }
  add {
    method = "GET", path = "/admin/events/:id", id = "getEvent", tag = "events", scope = "read", run = events.get,
    summary = "One event, with the text that is sent",
    parameters = { parameter("path", "id", EVENT_ID, "The event's id.", EVENT_MATCH) },
    answers = { [200] = { "It.", "EventAnswer" } },
  }
  add {
    method = "GET", path = "/admin/scripts", id = "listScripts", tag = "scripts", scope = "read", run = scripts.list,
    summary = "The scripts that are loaded", answers = { [200] = { "All of them.", "ScriptList" } },
  }
  add {
    method = "POST", path = "/admin/scripts/reload", id = "reloadScripts", tag = "scripts", scope = "write",
    run = scripts.reload, summary = "Load all scripts anew",
    answers = { [200] = { "Those that are loaded, and those whose last good version stays.", "ReloadAnswer" } },
  }
  add {
    method = "GET", path = "/admin/stats", id = "getStats", tag = "system", scope = "read", run = system.stats,
    summary = "Counts", answers = { [200] = { "Counts since the engine started, and the store's.", "StatsAnswer" } },
  }
  add {
    method = "POST", path = "/events", id = "emitEvents", tag = "events", scope = "emit", run = events.emit,
    summary = "Emit one event, or several", parameters = {
      parameter("query", "key", { type = "string", minLength = 1, maxLength = 255, pattern = "^[!-~]+$", examples = { "order-1" } },
        "What a webhook's order = \"key\" goes by, for every event of the request.", "^[!-~]+$"),
      parameter("header", "Idempotency-Key", {
        type = "string", minLength = 1, maxLength = 200, pattern = "^[!-~]+$", examples = { "import-7" },
      }, "The same key within 24 hours stores nothing again, and answers the first ids. Of a list, each event has its own.",
        "^[!-~]+$"),
      lenient("traceparent", "The trace that the events belong to (W3C Trace Context); their requests carry it on. One that is not valid "
        .. "counts as none.", TRACE_MATCH, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
      lenient("tracestate", "What goes with the traceparent.", "^[ -~]+$", "vendor=1"),
    },
    body = {
      types = { JSON, NDJSON }, schemas = { "NewEvents", "EventLines" },
      most = events.BODY_FACTOR * config.limits.eventSize, capacity = true,
    },
    answers = {
      [202] = { "They are on disk.", "Accepted" },
      [422] = { "It is of a content type that is never sent: a user (EPRIVATE).", "Error" },
      [429] = { "The inbox is full (EAGAIN), or too many tries with no token.", "Error" },
      [507] = { "The disk is full (ENOSPC).", "Error" },
    },
  }
  add {
    method = "POST", path = "/admin/session", id = "signIn", tag = "session", run = session.create,
    summary = "Sign in with a token: the answer sets the cookie of a session", body = json_body "SignIn",
    answers = {
      [201] = { "Signed in.", "SessionAnswer" },
      [401] = { "The token is not known.", "Error" },
      [403] = { "A page of another origin asked.", "Error" },
      [429] = { "Too many tries with a token that is not known.", "Error" },
      [501] = { "There are no sessions here.", "Error" },
      [503] = { "The session cannot be kept.", "Error" },
    },
  }
  add {
    method = "GET", path = "/admin/session", id = "getSession", tag = "session", scope = "any", run = session.get,
    summary = "Who is signed in", answers = { [200] = { "Whose token it is, and what it may.", "SessionAnswer" } },
  }
  add {
    method = "DELETE", path = "/admin/session", id = "signOut", tag = "session", scope = "any", run = session.delete,
    summary = "Sign out", answers = { [204] = { "There is no session any more." } },
  }
  add {
    method = "GET", path = "/metrics", id = "getMetrics", tag = "system", scope = "read", run = system.metrics,
    summary = "Metrics, in Prometheus' text format", answers = { [200] = { "They.", "Metrics", "text/plain" } },
  }
  add {
    method = "GET", path = "/healthz", id = "getHealth", tag = "system", run = system.health, summary = "The process lives",
    answers = { [200] = { "It does.", "Status" } },
  }
  add {
    method = "GET", path = "/readyz", id = "getReadiness", tag = "system", run = system.ready, summary = "The store answers",
    answers = { [200] = { "It does.", "Status" }, [503] = { "It does not.", "Error" } },
  }
  add {
    method = "GET", path = "/openapi.json", id = "getOpenApi", tag = "system", scope = "any", run = system.openapi,
    summary = "This description", answers = { [200] = { "OpenAPI 3.1.", "Description" } },
  }
  return list
end

return routes_of
