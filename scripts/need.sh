#!/usr/bin/env bash
# Sees to the programs that the tests need: installs Debian's packages where it
# may, and says what to install where it may not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if ! command -v go >/dev/null; then
  echo "Go is not installed; see https://go.dev/dl/" >&2
  exit 1
fi
# In the folder of go.mod, go itself says which version it wants and lacks.
go version >/dev/null
go list -m >/dev/null

packages=()
shopt -s nullglob
servers=(/usr/lib/postgresql/*/bin/initdb)
if [ ${#servers[@]} -eq 0 ] && ! command -v initdb >/dev/null && [ -z "${PRATIQUE_TEST_POSTGRES:-}" ]; then
  packages+=(postgresql)
fi
command -v skopeo >/dev/null || packages+=(skopeo)
# An upstream to pull through, which is not ours.
command -v docker-registry >/dev/null || packages+=(docker-registry)
# The commands of the guide.
command -v curl >/dev/null || packages+=(curl)
command -v jq >/dev/null || packages+=(jq)
# The race detector needs a C compiler.
command -v gcc >/dev/null || packages+=(gcc libc6-dev)
command -v git >/dev/null || packages+=(git)
# The ecosystems' own programs judge the orders of versions.
perl -MDpkg::Version -e 1 2>/dev/null || packages+=(libdpkg-perl)
command -v rpm >/dev/null || packages+=(rpm)
# Makes the Debian whose packages are compared with what is found in it.
command -v debootstrap >/dev/null || packages+=(debootstrap)
command -v ruby >/dev/null || packages+=(ruby)
python3 -c 'import packaging.version' 2>/dev/null || /usr/bin/python3 -c 'import packaging.version' 2>/dev/null ||
  packages+=(python3-packaging)
command -v php >/dev/null || packages+=(php-cli)
[ -e /usr/share/php/Composer/Semver/autoload.php ] || packages+=(php-composer-semver)
# Build the web interface, and look at it.
command -v node >/dev/null || packages+=(nodejs)
command -v npm >/dev/null || packages+=(npm)
[ -x "${CHROMIUM:-/usr/bin/chromium}" ] || packages+=(chromium)
# new_enough says whether node can build the interface, where it is there.
new_enough() {
  local major
  major=$(node --version 2>/dev/null | sed 's/^v//; s/\..*//')
  if [ "${major:-0}" -lt 20 ]; then
    echo "The web interface needs Node 20 or newer, here is ${major:-none}; see https://nodejs.org/en/download" >&2
    exit 1
  fi
}
if [ ${#packages[@]} -eq 0 ]; then
  new_enough
  exit 0
fi

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need programs that are not here. Install them with:" >&2
  echo "  sudo apt-get install ${packages[*]}" >&2
  echo "or what your system calls these Debian packages, and start again." >&2
  exit 1
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
retry() {
  local try
  for try in 1 2 3; do
    "$@" >"$log" 2>&1 </dev/null && return
    echo "try $try of 3 failed: $*" >&2
    tail -n 20 "$log" >&2
    sleep $((try * 5))
  done
  return 1
}
echo "installing ${packages[*]}"
retry apt-get update
retry apt-get -y --no-install-recommends install "${packages[@]}"
new_enough
