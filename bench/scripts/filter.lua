-- A filter of one comparison.
return {
  filter = function(event) return event.entry.city == "Paris" end,
}
