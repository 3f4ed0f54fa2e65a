-- The other half of fuzz_script.c: hands the payload back as it came.
return {
  transform = function(payload)
    for key, value in pairs(payload) do payload[key] = value end
    return payload, { headers = { ["X-Type"] = type(payload.entry) } }
  end,
}
