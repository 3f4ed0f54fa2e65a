-- Nothing leaves this machine: requests go to a proxy that is not there.
return {
  webhooks = {
    store = env("MOONPOST_STORE", "../data/moonpost.db"),
    models = {
      address = { attributes = { city = { type = "string" }, door_code = { type = "password" } } },
      article = { options = { draftAndPublish = true }, attributes = { title = { type = "string" } } },
    },
    events = { "order.paid" },
    delivery = { timeout = 2, connectTimeout = 1, proxy = "http://127.0.0.1:9" },
    log = { level = "off" },
  },
}
