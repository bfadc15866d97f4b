#!/usr/bin/env bash
# Checks, tests and builds the web interface, and looks at every page of it in
# Chromium, against a server with images in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/steps.sh

# whole says whether the lock file names no server: packages come from the
# registry that npm is set to.
whole() {
  ! grep -n '"resolved"' web/package-lock.json
}

step "lock file" whole
step "web build" make --no-print-directory web
step "web types" npm --prefix web run --silent types
step "web lint" npm --prefix web run --silent lint
step "web units" npm --prefix web run --silent test
step "web pages" npm --prefix web run --silent e2e
finish "scripts/web.sh"
