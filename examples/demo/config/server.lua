-- The demo's config. Keys and their spelling are Strapi's; RECEIVER and STORE come from the environment.
local receiver = env("RECEIVER")

return {
  webhooks = {
    store = env("STORE", "../data/moonpost.db"),
    models = "../models",
    events = { "order.paid" }, -- one type of our own beside the eight

    -- Every webhook sends these, but for the names that it sets itself.
    defaultHeaders = {
      ["Custom-Header"] = "my-custom-header",
      ["Authorization"] = "Bearer of-all-webhooks",
    },

    -- Webhooks kept as code.
    endpoints = {
      {
        name = "search index",
        url = receiver .. "/search",
        events = { "entry.*" },
        headers = { authorization = "Bearer of-the-search-index" }, -- replaces the default: names have no case
      },
      {
        name = "image cache",
        url = receiver .. "/images?purge=1",
        events = { "media.create", "media.update", "media.delete" },
        headers = { ["X-Cache-Zone"] = "images" },
      },
    },

    network = { allow = { "127.0.0.0/8" } }, -- the receiver is on this machine
    log = { level = "error" }, -- "warn" would name the key that no model knows
  },
}
