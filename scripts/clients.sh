#!/usr/bin/env bash
# Builds clients of the Clair APIs, at pinned versions, for the tests that run
# them (docs/clients.md). Each is built in a module that is thrown away, so that
# its dependencies are nobody else's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$PWD/bin/tools
mkdir -p "$out"

# client NAME MODULE@VERSION PACKAGE
client() {
  [ ! -x "$out/$1" ] || { echo "$out/$1 is there"; return; }
  local module
  module=$(mktemp -d)
  (cd "$module" && go mod init clients && go mod edit -require="$2" && go build -mod=mod -o "$out/$1" "$3") || { rm -rf "$module"; return 1; }
  rm -rf "$module"
}

client clairctl github.com/quay/clair/v4@v4.9.0 github.com/quay/clair/v4/cmd/clairctl
client reg github.com/genuinetools/reg@v0.16.1 github.com/genuinetools/reg
