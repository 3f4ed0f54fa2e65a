# The commands a person types. Each is one or two lines; what is longer stands in scripts/.
.PHONY: deps build demo fuzz serve test crash bench bench-guard interop browser lint env format clean
.NOTPARALLEL:

# The specs, the demo and the tools find their modules by themselves; the caller's Lua settings stay outside.
unexport LUA_INIT LUA_INIT_5_4 LUA_PATH LUA_PATH_5_4 LUA_CPATH LUA_CPATH_5_4 LUAROCKS_CONFIG

deps:
	@scripts/deps.sh

build:
	@scripts/build.sh build -DCMAKE_BUILD_TYPE=Release

demo: deps build
	@scripts/demo.sh

# The HTTP API and the admin page on 127.0.0.1:1337, with what moonpost init writes; ARGS="--listen ... --workers ..."
serve: deps build
	@scripts/serve.sh $(ARGS)

test: deps build
	@scripts/test.sh

# CASE="durable idle" ROUNDS=3 QUICK=1; bench/README.md has the cases.
bench: deps
	@scripts/bench-deps.sh
	@scripts/bench.sh

# RECORD=1 records the counts anew.
bench-guard: deps
	@scripts/bench-deps.sh valgrind
	@scripts/bench-guard.sh

# Signatures against six libraries of Standard Webhooks, both ways.
interop: deps build
	@scripts/interop.sh

# The admin page in chromium, with puppeteer-core and axe-core (npm). SHOTS=FOLDER keeps pictures of it.
browser: deps build
	@scripts/deps.sh chromium fonts-dejavu-core
	@scripts/browser.sh

# The crash spec alone, with a summary: make crash N=1000
crash: deps build
	@MOONPOST_KILLS=$(or $(N),100) MOONPOST_CRASH_SUMMARY=1 busted --output=plainTerminal spec/integration/crash_spec.lua

# Each fuzz target for T seconds: make fuzz T=60 TARGET="json url"
fuzz:
	@scripts/deps.sh clang-14 libclang-rt-14-dev
	@scripts/fuzz.sh $(or $(T),60) $(TARGET)

lint: deps
	@scripts/lint.sh

# eval "$(make -s env)"
env:
	@scripts/env.sh

format:
	@find csrc bench -name node_modules -prune -o -name '*.[ch]' -exec clang-format-14 -i {} +

clean:
	@rm -rf build build.luarocks
