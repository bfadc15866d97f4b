#!/usr/bin/env bash
# Runs every fuzz test of the project, or of the packages named, for the time
# given, or for a number of runs (1000x), one after the other.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/steps.sh

time=${1:-30s}
packages=("${@:2}")
[ "${#packages[@]}" -gt 0 ] || packages=(./...)
for package in $(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "${packages[@]}"); do
  # The names, then a line that starts with "ok".
  if ! names=$(go test "$package" -list '^Fuzz'); then
    printf '%s\n' "$names"
    failed+=("$package")
    continue
  fi
  for name in $(grep '^Fuzz' <<<"$names" || true); do
    step "$package $name" go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$time"
  done
done
finish "make fuzz"
