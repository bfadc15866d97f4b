#!/usr/bin/env bash
# Checks and tests everything. Installs what is lacking when it may.
# Environment: PRATIQUE_TEST_POSTGRES is the URL of a server to use instead of
# one of our own; PRATIQUE_REAL_DATA is a folder with real feeds and images.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/steps.sh

./scripts/need.sh
make --no-print-directory tools clair

. scripts/postgres.sh
trap stop_postgres EXIT
if [ -z "${PRATIQUE_TEST_POSTGRES:-}" ]; then
  start_postgres
  export PRATIQUE_TEST_POSTGRES=$postgres_url
fi

# Everything that a test can need is there now: what is missing is a failure,
# which the tests tell by CI, and not a reason to skip.
export CI=${CI:-true}
export PRATIQUE_CONFORMANCE=$PWD/bin/tools/conformance
export PRATIQUE_CLAIR=$PWD/bin/tools/clair
export PATH=$PWD/bin/tools:$PATH

# The checks read what the compiler made. Have it make that once, for the race detector.
step lint env GOFLAGS="${GOFLAGS:-} -race" ./scripts/lint.sh
# SQLite, translated from C, is 30 times slower under the race detector, and is
# not what is looked at; nor is inflate. Only packages without type parameters
# and without sync.Map of their own may be named here: the linker would keep their
# copies, which the detector does not see through, for everybody.
unwatched=()
for package in modernc.org/sqlite/lib modernc.org/libc/... github.com/klauspost/compress/flate; do
  unwatched+=("-gcflags=$package=-race=false")
done
# What takes minutes under the race detector, and is about the results of one
# goroutine, runs without it.
heavy='^TestAgainstRealClair$|^TestKnownAnswers$|^TestReal(Import|Archives|Documents?|Crawl|Page|Mirror)$|^TestReferences$|^TestDebianRoot$|^TestGoPrograms$|^TestNpmTree$|AtScale$|Bombs$|BoundsMemory$|HundredThousand$|IsBounded$'
plain=$(go list ./... | grep -v /internal/layer/inflate)
step "go test" go test -race "${unwatched[@]}" -timeout 15m -skip "$heavy" $plain
step "go test of much" go test -timeout 15m -run "$heavy" ./internal/advisory/... ./internal/inventory/... ./internal/store ./internal/version ./test/clair ./test/server
step "go test of inflate" go test -timeout 15m ./internal/layer/inflate
# What parses the content of layers, or what a browser brings back from a sign-in, is
# fuzzed for a moment at each run; make fuzz takes its time for everything. A number of runs ends at the same place every time.
step "fuzz" ./scripts/fuzz.sh 1000x ./internal/layer/... ./internal/inventory/... ./internal/auth/oidc
step web ./scripts/web.sh
finish "make test"
