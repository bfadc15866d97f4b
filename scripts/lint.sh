#!/usr/bin/env bash
# Checks the form of the code and looks for known mistakes. Needs `make tools`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/steps.sh

formatted() {
  local files
  files=$(find . \( -path ./bin -o -path ./data -o -path ./web \) -prune -o -name '*.go' -exec gofmt -l -s {} +)
  [ -z "$files" ] || { printf 'not formatted (run gofmt -s -w on them):\n%s\n' "$files"; return 1; }
}

# vulnerable asks the Go vulnerability database, which is on the network: where
# it cannot be reached the check is left out, and that is said.
vulnerable() {
  local out status=0
  out=$(timeout 300 bin/tools/govulncheck ./... 2>&1) || status=$?
  if [ "$status" -eq 124 ] || { [ "$status" -eq 1 ] && grep -qE 'dial tcp|no such host|Client\.Timeout|TLS handshake|unexpected status' <<<"$out"; }; then
    printf '%s\n' "$out" | tail -n 2
    echo "NOT CHECKED for known vulnerabilities: the database ${GOVULNDB:-https://vuln.go.dev} cannot be reached"
    return 0
  fi
  printf '%s\n' "$out"
  return "$status"
}

step gofmt formatted
step "go vet" go vet ./...
step staticcheck bin/tools/staticcheck ./...
step govulncheck vulnerable
finish lint
