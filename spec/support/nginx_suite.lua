--- Prints the config of an nginx that runs busted in its one process and ends with it. Arguments: a folder for its files, and busted's
-- options. What the specs read of the environment is named here, for nginx passes nothing on by itself.
local finder = require "moonpost.cli.nginx"

local CONFIG = [[
%s
daemon off;
master_process off;
pid %s/nginx.pid;
error_log stderr error;
env PATH; env HOME; env TMPDIR; env LUA_PATH; env LUA_CPATH;
env MOONPOST_BUILD; env MOONPOST_ORACLE; env MOONPOST_KILLS; env MOONPOST_PROPERTY_ENTRIES; env MOONPOST_PROPERTY_SEED;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path %s/body; proxy_temp_path %s/proxy; fastcgi_temp_path %s/fastcgi; uwsgi_temp_path %s/uwsgi;
  scgi_temp_path %s/scgi;
  lua_package_path "%s";
  lua_package_cpath "%s";
  init_worker_by_lua_block {
    ngx.timer.at(0, function()
      local ffi = require "ffi"
      ffi.cdef "void _exit(int);"
      -- nginx takes no exit from inside a timer.
      local function exit(code)
        io.stdout:flush()
        ffi.C._exit(code == true and 0 or code == false and 1 or code or 0)
      end
      os.exit = exit
      arg = { [0] = "busted", %s }
      local ok, message = pcall(function() require "busted.runner" { standalone = false } end)
      if not ok then io.stdout:write("# ", tostring(message), "\n") end
      exit(ok)
    end)
  }
}
]]

local found = assert(finder.find())
local modules, options = {}, { "--run=ngx", "--output=TAP" }
for i, path in ipairs(found.modules) do modules[i] = "load_module " .. path .. ";" end
for i = 2, #arg do options[#options + 1] = arg[i] end
for i, option in ipairs(options) do options[i] = ("%q"):format(option) end
local folder = arg[1]
io.write(CONFIG:format(table.concat(modules, "\n"), folder, folder, folder, folder, folder, folder, package.path, package.cpath,
  table.concat(options, ", ")))
