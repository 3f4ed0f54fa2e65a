--- The rules of the network guard as the config has them: CIDRs, host names and ports. The guard itself is in the core
-- (csrc/http/netguard.h).
local core = require "moonpost.core"
local value_of = require "moonpost.value"

local network = {}

local function check_rules(list)
  return function(value, where)
    local length = value_of.list_length(value)
    if not length then
      return nil, ("%s: expected a list of CIDRs and host names, got %s"):format(where, value_of.shown(value))
    end
    for i = 1, length do
      local at = ("%s[%d]"):format(where, i)
      if type(value[i]) ~= "string" then
        return nil, ("%s: expected a CIDR such as 10.1.0.0/16 or a host name, got %s"):format(at, value_of.shown(value[i]))
      end
      local ok, message = core.check_rule(list, value[i])
      if not ok then return nil, at .. ": " .. message end
    end
    return value
  end
end

network.check_allow = check_rules "allow"
network.check_deny = check_rules "deny"

function network.check_ports(value, where)
  local length = value_of.list_length(value)
  if not length then return nil, ("%s: expected a list of ports, got %s"):format(where, value_of.shown(value)) end
  for i = 1, length do
    local port = value[i]
    if type(port) ~= "number" or port ~= math.floor(port) or port < 1 or port > 65535 then
      return nil, ("%s[%d]: expected a port between 1 and 65535, got %s"):format(where, i, value_of.shown(port))
    end
  end
  return value
end

return network
