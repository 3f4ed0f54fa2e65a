--- End to end without a disk: what the engine itself costs.
return {
  about = 'as durable, with store = ":memory:"',
  variants = require("bench.cases.durable").in_memory,
}
