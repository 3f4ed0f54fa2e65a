--- moonpost token: who may use the HTTP API. Works on the file beside the config's store; opens no store.
local config = require "moonpost.config"
local output = require "moonpost.cli.output"
local tokens = require "moonpost.admin.tokens"

local token = {}

local function open(args)
  local loaded, message, code = config.load(args.config or os.getenv "MOONPOST_CONFIG" or "config/server.lua")
  if not loaded then return nil, message, code end
  local path
  path, message, code = tokens.path(loaded)
  if not path then return nil, message, code end
  return tokens.open(path)
end

function token.add(args)
  local file, message, code = open(args)
  if not file then return nil, message, code end
  local scopes = {}
  for scope in args.scopes:gmatch "[^,%s]+" do scopes[#scopes + 1] = scope end
  local made
  made, message, code = file:add(args.name, scopes)
  if not made then return nil, message, code end
  if args.json then
    output.json(made)
  else
    output.line(made.token)
    io.stderr:write("moonpost: keep it: it is not shown again\n")
  end
  return true
end

function token.list(args)
  local file, message, code = open(args)
  if not file then return nil, message, code end
  local list
  list, message, code = file:list()
  if not list then return nil, message, code end
  return output.listing(args, list, { "NAME", "SCOPES", "CREATED" }, function(one)
    return { one.name, table.concat(one.scopes, ","), one.created_at }
  end)
end

function token.rm(args)
  local file, message, code = open(args)
  if not file then return nil, message, code end
  local removed
  removed, message, code = file:remove(args.name)
  if not removed then return nil, message, code end
  if args.json then
    output.json(removed)
  else
    output.line(("removed token %s"):format(removed.name))
  end
  return true
end

return token
