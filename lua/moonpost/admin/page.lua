--- Lists by pages: { data = [...], next = id }, newest first; ?before=next is the page after.
local answer = require "moonpost.admin.answer"
local json = require "moonpost.json"
local mask = require "moonpost.mask"

local page = {}

page.DEFAULT, page.MAX = 100, 1000

--- Answers a page of a list. A page that is full has a next, and the one after the last may be empty.
---@param source { list: function }
---@param filter table of list
---@param shown fun(item: table): table
---@return moonpost.admin.Answer
function page.answer(source, filter, shown)
  filter.limit = filter.limit or page.DEFAULT
  local list, message, code = source:list(filter)
  -- Ids that can be none are none's: nothing matches.
  if not list and code == "ENOENT" then list = {} end
  if not list then return answer.failure(message, code) end
  for i, item in ipairs(list) do list[i] = shown(item) end
  return answer.json(200, { data = mask.list(list), next = #list >= filter.limit and list[#list].id or json.null })
end

return page
