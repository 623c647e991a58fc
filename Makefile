# Every target installs what it needs. The project's own Node comes with npm into node_modules/.bin.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
sources := $(shell find src -name '*.ts' -not -name '*.test.ts') package.json tools/build.ts

.PHONY: all lib demo test check format interop peers bench clean
all: dist/cli/main.cjs

node_modules/.installed: package.json package-lock.json .npmrc tools/install.sh
	sh tools/install.sh
	@touch $@

dist/cli/main.cjs: node_modules/.installed $(sources)
	node tools/build.ts

# The library: modules with types, one folder a room.
lib: node_modules/.installed
	tsc -p tsconfig.build.json

demo: dist/cli/main.cjs
	node tools/demo.ts

test: dist/cli/main.cjs
	vitest run

check: node_modules/.installed
	tsc -p .
	biome check --error-on-warnings .
	eslint src test bench tools
	depcruise --config .dependency-cruiser.cjs src
	knip

format: node_modules/.installed
	biome check --write .

peers:
	sh tools/install-peers.sh

interop: dist/cli/main.cjs peers
	vitest run --config vitest.interop.config.ts

bench: dist/cli/main.cjs peers
	node bench/run.ts

clean:
	rm -rf dist demo-out node_modules
