-- A transform that takes a field away and adds one; the whole payload is read and written anew.
return {
  transform = function(payload)
    payload.entry.postal_code = nil
    payload.source = "bench"
    return payload
  end,
}
