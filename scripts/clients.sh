#!/usr/bin/env bash
# Builds clients of registries and of the Clair APIs, at pinned versions, for the
# tests that run them (docs/clients.md): all, or those that are named. Each is built
# in a module that is thrown away, so that its dependencies are nobody else's.
# Trivy takes ten minutes and is only built where it is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$PWD/bin/tools
mkdir -p "$out"
wanted=("$@")

# client NAME MODULE@VERSION PACKAGE [FLAG...]
client() {
  if [ ${#wanted[@]} -gt 0 ]; then
    [[ " ${wanted[*]} " == *" $1 "* ]] || return 0
  elif [ "$1" = trivy ]; then
    return 0
  fi
  [ ! -x "$out/$1" ] || { echo "$out/$1 is there"; return; }
  local module
  module=$(mktemp -d)
  (cd "$module" && go mod init clients && go mod edit -require="$2" && CGO_ENABLED=0 go build -mod=mod "${@:4}" -o "$out/$1" "$3") || { rm -rf "$module"; return 1; }
  rm -rf "$module"
}

client clairctl github.com/quay/clair/v4@v4.9.0 github.com/quay/clair/v4/cmd/clairctl
client reg github.com/genuinetools/reg@v0.16.1 github.com/genuinetools/reg
client crane github.com/google/go-containerregistry@v0.22.1 github.com/google/go-containerregistry/cmd/crane
client regctl github.com/regclient/regclient@v0.11.7 github.com/regclient/regclient/cmd/regctl
client oras oras.land/oras@v1.3.6 oras.land/oras/cmd/oras
client trivy github.com/aquasecurity/trivy@v0.65.0 github.com/aquasecurity/trivy/cmd/trivy
