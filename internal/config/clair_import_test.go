package config_test

import (
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/config"
)

const clair2 = `clair:
  database:
    type: pgsql
    options:
      source: host=postgres port=5432 user=postgres password=s3cret sslmode=disable statement_timeout=60000
      cachesize: 16384
      paginationkey:
  api:
    addr: "0.0.0.0:6060"
    healthaddr: "0.0.0.0:6061"
    timeout: 900s
    servername:
    cafile:
    keyfile:
    certfile:
  worker:
    namespace_detectors: [os-release]
  updater:
    interval: 2h
    enabledupdaters: [debian, ubuntu, rhel, alpine, oracle, beos]
  notifier:
    attempts: 3
    renotifyinterval: 2h
    http:
      endpoint: http://quay/secscan/notify
      proxy:
`

const clair4 = `http_listen_addr: ":6060"
introspection_addr: ":8089"
log_level: debug-color
indexer:
  connstring: postgres://clair:pw@db/indexer?sslmode=disable
  scanlock_retry: 10
  index_report_request_concurrency: 20
  migrations: true
  scanner: {package: {java: {disable_api: true}}}
matcher:
  connstring: postgres://clair:pw@db/indexer?sslmode=disable
  period: 7h
  cache_age: 10m
  update_retention: 10
notifier:
  connstring: postgres://clair:pw@other/notifier
  webhook:
    target: https://quay/secscan/notification
    callback: http://clair/notifier/api/v1/notification/
    headers: {X-Token: [a]}
  amqp: {direct: true}
  disable_summary: true
updaters:
  sets: [alpine, osv]
auth:
  psk: {key: c2VjcmV0, iss: [quay, clairctl]}
trace: {name: jaeger}
surprise: {deep: [1]}
`

func TestImportClair(t *testing.T) {
	for _, test := range []struct {
		name, file string
		want       []string // lines of ours
		keys       map[string]string
	}{
		{"2.x", clair2, []string{
			`clair-listen: "0.0.0.0:6060"`, `health-listen: "0.0.0.0:6061"`, `database: "postgres://postgres:s3cret@postgres:5432/pratique?sslmode=disable"`,
			`feeds: ["alpine","debian","nvd","oracle","redhat","ubuntu"]`, `feeds-schedule: "17 */2 * * *"`, `clair-v1-notify-url: "http://quay/secscan/notify"`,
		}, map[string]string{
			"clair.updater.enabledupdaters": "NOT TAKEN OVER: beos", "clair.database.options.cachesize": "cached", "clair.api.keyfile": "plain HTTP",
			"clair.worker.namespace_detectors": "detectors", "clair.notifier.attempts": "until they arrive", "clair.database.type": "SQLite",
		}},
		{"4.x", clair4, []string{
			`clair-listen: ":6060"`, `health-listen: ":8089"`, `log-level: "debug"`, `clair-psk: "c2VjcmV0"`, `clair-psk-issuers: ["quay","clairctl"]`,
			`database: "postgres://clair:pw@db/pratique?sslmode=disable"`, `clair-index-concurrency: 20`, `clair-cache-age: 10m`, `feeds-schedule: "17 */6 * * *"`,
			`clair-notify-url: "https://quay/secscan/notification"`, `clair-notify-headers: ["X-Token=a"]`, `clair-notify-all: true`,
			`feeds: ["alpine","crates-io","go","maven","npm","nuget","packagist","pypi","rubygems"]`,
		}, map[string]string{
			"notifier.amqp.direct": "NOT TAKEN OVER", "notifier.connstring": "NOT TAKEN OVER", "surprise.deep": "NOT TAKEN OVER: no key", "trace.name": "no traces",
			"indexer.scanner": "ask nobody",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, keys, err := config.ImportClair([]byte(test.file))
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range test.want {
				if !strings.Contains(text, line+"\n") {
					t.Errorf("%q is not in\n%s", line, text)
				}
			}
			notes := make(map[string]string)
			for _, k := range keys {
				if k.Note == "" {
					t.Errorf("nothing is said of %s", k.Key)
				}
				notes[k.Key] = k.Note
			}
			for key, note := range test.keys {
				if !strings.Contains(notes[key], note) {
					t.Errorf("%s: %q, want %q", key, notes[key], note)
				}
			}
			// Every leaf of the file is accounted for.
			if want := strings.Count(test.file, "\n"); len(keys) < want/2 {
				t.Errorf("only %d keys of %d lines", len(keys), want)
			}
			inFolder(t, text)
			if _, err := parse(t, []string{"serve", "--config=pratique.yaml"}, nil); err != nil {
				t.Errorf("ours cannot be read: %v\n%s", err, text)
			}
		})
	}
}

func TestImportClairRefuses(t *testing.T) {
	for name, file := range map[string]string{
		"nothing": "", "a list": "- a", "no YAML": "a: [", "a bad port": "clair: {api: {port: x}}", "a bad key": "auth: {psk: {key: '!'}}",
		"an alias": "a: &x {b: 1}\nhttp_listen_addr: *x", "a list for an address": "http_listen_addr: [a]", "a bad period": "matcher: {period: often}",
		"long": strings.Repeat("#", 2<<20), "no settings": "{}",
	} {
		if text, _, err := config.ImportClair([]byte(file)); err == nil {
			t.Errorf("%s: got %q", name, text)
		}
	}
}

func FuzzImportClair(f *testing.F) {
	for _, seed := range []string{clair2, clair4, "", "a: 1", "indexer: {connstring: 'host=/run port=1'}", "matcher: {period: 5h}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		text, keys, err := config.ImportClair(content)
		if err == nil && (text == "" || len(keys) == 0) {
			t.Errorf("got %q, %v", text, keys)
		}
	})
}
