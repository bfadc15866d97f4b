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

.PHONY: build run demo test lint bench bench-go fuzz tools clients clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/pratique ./cmd/pratique

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

clients:
	./scripts/clients.sh

clean:
	rm -rf bin
