-- busted --helper: collects garbage all the time, so that a value the core holds without anchoring it is soon gone.
collectgarbage("setpause", 0)
collectgarbage("setstepmul", 400)
