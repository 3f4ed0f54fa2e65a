--- 32 bytes that nobody can guess, as 64 hexadecimal digits.
---@return string
return function()
  local source = assert(io.open("/dev/urandom", "rb"))
  local bytes = source:read(32)
  source:close()
  assert(bytes and #bytes == 32, "/dev/urandom: expected 32 bytes")
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end
