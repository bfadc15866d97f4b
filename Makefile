# make demo    build, push a sample image into a server of its own, show its findings
# make test    install what the tests need (as root, with apt), then check and test everything
# See CONTRIBUTING.md for the rest.

SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO_VERSION := $(shell go env GOVERSION 2>/dev/null)
# Arguments of the benchmarks, for example BENCH="-only layers -turns 3".
BENCH      ?=
# How long each fuzz test runs.
FUZZTIME   ?= 30s
# Set to 1 to have the demo stop once it has printed its findings.
DEMO_EXIT  ?=
export DEMO_EXIT

# The tools are built again when their versions or Go's change.
TOOLS := bin/tools/.built-with-$(GO_VERSION)

# A real Clair, which the tests of vulnerability sources ask.
CLAIR := bin/tools/clair

.PHONY: build web run demo test lint bench bench-go fuzz tools clair clients clean

build: web
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/pratique ./cmd/pratique

# The web interface, which the program embeds. It is built again when its source
# or what the lock file names has changed.
WEB := internal/webui/dist/app/.vite/manifest.json

web: $(WEB)

web/node_modules/.package-lock.json: web/package.json web/package-lock.json
	cd web && npm ci --no-audit --no-fund --ignore-scripts
	touch $@

$(WEB): web/node_modules/.package-lock.json $(shell find web/src web/public web/index.html web/vite.config.ts web/postcss.config.js web/tsconfig.json -type f)
	cd web && npm run --silent build
	touch $@

run: build
	exec bin/pratique serve --data ./data

demo: build
	go run ./test/demo

test:
	./scripts/test.sh

lint: $(TOOLS)
	./scripts/lint.sh

# The tables of docs/performance.md. `make bench-go` runs the benchmarks of single packages.
bench: build
	go run ./bench $(BENCH)

bench-go:
	go test -run '^$$' -bench . -benchmem ./...

fuzz:
	./scripts/fuzz.sh $(FUZZTIME)

tools: $(TOOLS)

$(TOOLS): tools/go.mod tools/go.sum
	mkdir -p bin/tools
	CGO_ENABLED=0 go -C tools build -o ../bin/tools/ tool
	rm -f bin/tools/.built-with-*
	touch $@

# A module of its own: it is larger than all other tools together, and only one
# test wants it. With Go's usual flags, so that much of it is built already.
clair: $(CLAIR)

$(CLAIR): tools/clair/go.mod tools/clair/go.sum
	mkdir -p bin/tools
	go -C tools/clair build -o ../../bin/tools/clair github.com/quay/clair/v4/cmd/clair

clients:
	./scripts/clients.sh

clean:
	rm -rf bin internal/webui/dist/app web/node_modules web/screenshots
