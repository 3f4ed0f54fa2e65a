--- The models that Strapi brings along: media, users, roles, permissions, locales. A deployment's own file for one of
-- them is laid over it.
--
-- The media model has every key of the documented payload (sha256 included) and of the real one.
local function keep(...)
  local attributes = {}
  for _, name in ipairs { ... } do attributes[name] = { type = "string" } end
  return attributes
end

local function with(attributes, more)
  for name, attribute in pairs(more) do attributes[name] = attribute end
  return attributes
end

local function media()
  return with(keep("name", "alternativeText", "caption", "width", "height", "hash", "sha256", "ext", "mime", "size",
    "url", "previewUrl", "provider"), {
    formats = { type = "json" },
    provider_metadata = { type = "json" },
  })
end

local function private(attribute)
  attribute.private = true
  return attribute
end

local function user()
  return with(keep("username", "email", "provider", "confirmed", "blocked"), {
    password = { type = "password", private = true },
    resetPasswordToken = private { type = "string" },
    confirmationToken = private { type = "string" },
  })
end

local function admin_user()
  return with(keep("firstname", "lastname", "username", "preferedLanguage"), {
    email = private { type = "email" },
    password = { type = "password", private = true },
    resetPasswordToken = private { type = "string" },
    registrationToken = private { type = "string" },
    isActive = private { type = "boolean" },
    blocked = private { type = "boolean" },
  })
end

local builtin = {}

builtin.v3 = {
  ["plugins::upload.file"] = {
    options = { timestamps = true },
    attributes = with(media(), { related = { collection = "*" } }),
  },
  ["plugins::users-permissions.user"] = {
    options = { timestamps = true },
    attributes = with(user(), { role = { model = "role", plugin = "users-permissions" } }),
  },
  ["plugins::users-permissions.role"] = {
    options = { timestamps = false },
    attributes = with(keep("name", "description", "type"), {
      permissions = { collection = "permission", plugin = "users-permissions" },
      users = { collection = "user", plugin = "users-permissions" },
    }),
  },
  ["plugins::users-permissions.permission"] = {
    options = { timestamps = false },
    attributes = with(keep("type", "controller", "action", "enabled", "policy"), {
      role = { model = "role", plugin = "users-permissions" },
    }),
  },
  ["strapi::user"] = {
    options = { timestamps = false },
    attributes = with(admin_user(), { roles = private { collection = "role", plugin = "admin" } }),
  },
  ["strapi::role"] = {
    options = { timestamps = true },
    attributes = with(keep("name", "code", "description"), {
      users = { collection = "user", plugin = "admin" },
      permissions = { collection = "permission", plugin = "admin" },
    }),
  },
  ["strapi::permission"] = {
    options = { timestamps = true },
    attributes = with(keep("action", "subject"), {
      properties = { type = "json" },
      conditions = { type = "json" },
      role = { model = "role", plugin = "admin" },
    }),
  },
  ["plugins::i18n.locale"] = {
    globalId = "I18NLocale",
    options = { timestamps = true },
    attributes = keep("name", "code", "isDefault"),
  },
}

builtin.v4 = {
  ["plugin::upload.file"] = {
    attributes = with(media(), {
      focalPoint = { type = "json" },
      related = { type = "relation", relation = "morphToMany" },
      folder = private { type = "json" },
      folderPath = private { type = "string" },
    }),
  },
  ["plugin::users-permissions.user"] = {
    attributes = with(user(), {
      role = { type = "relation", relation = "manyToOne", target = "plugin::users-permissions.role" },
    }),
  },
  ["plugin::users-permissions.role"] = {
    attributes = with(keep("name", "description", "type"), {
      permissions = { type = "relation", relation = "oneToMany", target = "plugin::users-permissions.permission" },
      users = { type = "relation", relation = "oneToMany", target = "plugin::users-permissions.user" },
    }),
  },
  ["plugin::users-permissions.permission"] = {
    attributes = with(keep("action"), {
      role = { type = "relation", relation = "manyToOne", target = "plugin::users-permissions.role" },
    }),
  },
  ["admin::user"] = {
    attributes = with(admin_user(), {
      roles = private { type = "relation", relation = "manyToMany", target = "admin::role" },
    }),
  },
  ["admin::role"] = {
    attributes = with(keep("name", "code", "description"), {
      users = { type = "relation", relation = "manyToMany", target = "admin::user" },
      permissions = { type = "relation", relation = "oneToMany", target = "admin::permission" },
    }),
  },
  ["admin::permission"] = {
    attributes = with(keep("action", "actionParameters", "subject"), {
      properties = { type = "json" },
      conditions = { type = "json" },
      role = { type = "relation", relation = "manyToOne", target = "admin::role" },
    }),
  },
  ["plugin::i18n.locale"] = { attributes = keep("name", "code") },
}

--- Users, whose events are never sent.
builtin.users = {
  ["plugins::users-permissions.user"] = true,
  ["plugin::users-permissions.user"] = true,
  ["strapi::user"] = true,
  ["admin::user"] = true,
}

return builtin
