package config_test

import (
	"strings"
	"testing"
)

// TestMistakesInTheFile has the whole text of each message.
func TestMistakesInTheFile(t *testing.T) {
	tests := []struct {
		name, file, want string
	}{
		{"unknown key", "data: /srv\nlistn: :1\n", `pratique.yaml:2: unknown key "listn"; did you mean listen?`},
		{"underscore", "clair_listen: :1\n", `pratique.yaml:1: unknown key "clair_listen"; did you mean clair-listen?`},
		{"unlike anything", "wibble: 1\n", `pratique.yaml:1: unknown key "wibble"`},
		{"nested", "clair:\n  listen: :1\n", `pratique.yaml:1: unknown key "clair"`},
		{"merge key", "<<: {listen: ':1'}\n", `pratique.yaml:1: unknown key "<<"`},
		{"the file names a file", "config: other.yaml\n", `pratique.yaml:1: unknown key "config"`},
		{"twice", "data: a\nlisten: :1\ndata: b\n", `pratique.yaml:3: data: it is set already in line 1`},
		{"integer for text", "data: 7\n", `pratique.yaml:1: data: want text, got an integer; put it in quotes`},
		{"true for text", "\nlog-level: true\n", `pratique.yaml:2: log-level: want text, got true or false; put it in quotes`},
		{"date for text", "data: 2026-01-01\n", `pratique.yaml:1: data: want text, got a date; put it in quotes`},
		{"a secret is not shown", "admin-password: 4711\n", `pratique.yaml:1: admin-password: want text, got an integer; put it in quotes`},
		{"text for true or false", "blob-fsync: maybe\n", `pratique.yaml:1: blob-fsync: want true or false, got text`},
		{"yes for true", "blob-fsync: yes\n", `pratique.yaml:1: blob-fsync: want true or false, got text`},
		{"text for an integer", "layer-max-entries: many\n", `pratique.yaml:1: layer-max-entries: want an integer, got text`},
		{"fraction", "layer-max-entries: 1.5\n", `pratique.yaml:1: layer-max-entries: want an integer, got a number`},
		{"too large an integer", "layer-max-entries: 99999999999999999999\n", `pratique.yaml:1: layer-max-entries: want an integer, got a number`},
		{"not positive", "layer-max-entries: 0\n", `pratique.yaml:1: layer-max-entries: want more than zero, got 0`},
		{"duration without unit", "shutdown-grace: 30\n", `pratique.yaml:1: shutdown-grace: want a duration with its unit, such as 90s or 24h, got "30"`},
		{"negative duration", "shutdown-grace: -5s\n", `pratique.yaml:1: shutdown-grace: want more than zero, got -5s`},
		{"size", "layer-max-size: huge\n", `pratique.yaml:1: layer-max-size: want a size such as 512MiB or 64GB, got "huge"`},
		{"size beyond 63 bits", "layer-max-size: 9EiB\n", `pratique.yaml:1: layer-max-size: want a size such as 512MiB or 64GB, got "9EiB"`},
		{"text for a list", "feeds: alpine\n", `pratique.yaml:1: feeds: want a list, as in [one, two], got text`},
		{"integer in a list", "feeds:\n- alpine\n- 12\n", `pratique.yaml:2: feeds: want text in the list, got an integer in line 3`},
		{"a redirect to nowhere", "feeds-redirect: [https://a.example.com]\n", `pratique.yaml:1: feeds-redirect: want URL=URL, got "https://a.example.com"`},
		{"list for text", "data: [a]\n", `pratique.yaml:1: data: want text, got a list`},
		{"no value", "base-url:\n", `pratique.yaml:1: base-url: it has no value; write "" for an empty one, or remove the line`},
		{"not a mapping", "- listen\n", `pratique.yaml:1: want lines of the form KEY: VALUE, got a list`},
		{"just a word", "listen\n", `pratique.yaml:1: want lines of the form KEY: VALUE, got text`},
		{"two documents", "data: a\n---\ndata: b\n", `pratique.yaml:2: a second document starts; there can be only one`},
		{"bad address", "data: /srv\n\nlisten: \"8624\"\n", `pratique.yaml:3: listen: want HOST:PORT or :PORT, got "8624"`},
		{"all at once", "listn: :1\nblob-fsync: 1\n", `pratique.yaml:1: unknown key "listn"; did you mean listen?` + "\n" +
			`pratique.yaml:2: blob-fsync: want true or false, got an integer`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inFolder(t, test.file)
			_, err := parse(t, []string{"serve", "--config=pratique.yaml"}, nil)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestSyntaxErrorsNameTheLine(t *testing.T) {
	for name, file := range map[string]string{
		"unclosed quote": "data: a\nlisten: \"x\n",
		"tab":            "data: a\n\tlisten: b\n",
		"unclosed list":  "data: a\nfeeds: [a\n",
		"second":         "data: a\n---\n{\n",
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, file)
			_, err := parse(t, []string{"serve", "--config=pratique.yaml"}, nil)
			if err == nil || !strings.HasPrefix(err.Error(), "pratique.yaml:") {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestMistakesNameTheirPlace has values that are wrong in themselves, each
// given where a person may give it.
func TestMistakesNameTheirPlace(t *testing.T) {
	tests := []struct {
		name, flag, env, want string
	}{
		{"flag", "--listen=8624", "", `--listen: want HOST:PORT or :PORT, got "8624"`},
		{"environment", "", "PRATIQUE_LISTEN=8624", `PRATIQUE_LISTEN: want HOST:PORT or :PORT, got "8624"`},
		{"flag over environment", "--listen=:1", "PRATIQUE_LISTEN=8624", ""},
		{"port too large", "--listen=:65536", "", `--listen: want a port from 0 to 65535, got ":65536"`},
		{"port with zeros", "--listen=:080", "", `--listen: want a port without leading zeros, got ":080"`},
		{"named port", "--listen=:http", "", `--listen: want a port from 0 to 65535, got ":http"`},
		{"IPv6", "--listen=[::1]:80", "", ""},
		{"listen cannot be off", "--listen=off", "", `--listen: want HOST:PORT or :PORT, got "off"`},
		{"clair can be off", "--clair-listen=off", "", ""},
		{"empty address", "--health-listen=", "", `--health-listen: want HOST:PORT or :PORT, got ""`},
		{"same port twice", "--clair-listen=127.0.0.1:8624", "", `listen (default) and --clair-listen: both want 127.0.0.1:8624`},
		{"free ports", "--clair-listen=:0", "PRATIQUE_HEALTH_LISTEN=:0", ""},
		{"same port on other hosts", "--listen=127.0.0.1:80", "PRATIQUE_HEALTH_LISTEN=127.0.0.2:80", ""},
		{"empty data folder", "--data=", "", `--data: it must not be empty`},
		{"database", "--database=mysql://x:secret@h/n", "", `--database: want sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME`},
		{"database without path", "--database=sqlite:", "", `--database: want a path after sqlite:, as in sqlite:/srv/pratique.db`},
		{"database URL", "", "PRATIQUE_DATABASE=postgres://u:secret@h:port/n", `PRATIQUE_DATABASE: not a URL: invalid port ":port" after host`},
		{"database", "--database=postgresql://u:p@h/n", "", ""},
		{"blobs", "--blobs=/srv/blobs", "", `--blobs: want file:DIR, got "/srv/blobs"`},
		{"blobs without folder", "--blobs=file:", "", `--blobs: want file:DIR, got "file:"`},
		{"base URL without scheme", "--base-url=registry.example.com", "", `--base-url: want a URL that starts with https:// or http://, got "registry.example.com"`},
		{"base URL with path", "--base-url=https://example.com/registry", "", `--base-url: want a URL without a path, for registry clients look for /v2/ at the root of the host, got "https://example.com/registry"`},
		{"base URL with password", "--base-url=https://u:secret@example.com", "", `--base-url: want a URL without a password, got "https://u:xxxxx@example.com"`},
		{"base URL without host", "--base-url=https://", "", `--base-url: the URL names no host: "https:"`},
		{"base URL with query", "--base-url=https://example.com?x=1", "", `--base-url: want a URL without ? and #, got "https://example.com?x=1"`},
		{"base URL", "--base-url=https://example.com/", "", ""},
		{"mirror folder", "--feeds-mirror=/srv/mirror", "", ""},
		{"mirror URL", "--feeds-mirror=http://mirror.example.com/feeds", "", ""},
		{"mirror with another scheme", "--feeds-mirror=ftp://mirror.example.com", "", `--feeds-mirror: want a URL that starts with https:// or http://, got "ftp://mirror.example.com"`},
		{"schedule", "--feeds-schedule=every day", "", `--feeds-schedule: want a cron expression of five fields such as "17 */6 * * *", or off, got "every day"`},
		{"schedule with seconds", "--feeds-schedule=0 0 * * * *", "", `--feeds-schedule: want a cron expression of five fields such as "17 */6 * * *", or off, got "0 0 * * * *"`},
		{"empty schedule", "--feeds-schedule=", "", `--feeds-schedule: want a cron expression of five fields such as "17 */6 * * *", or off, got ""`},
		{"schedule by name", "--feeds-schedule=@daily", "", ""},
		{"schedule off", "--feeds-schedule=off", "", ""},
		{"level", "--log-level=loud", "", `--log-level: want debug or info or warn or error, got "loud"`},
		{"format", "", "PRATIQUE_LOG_FORMAT=xml", `PRATIQUE_LOG_FORMAT: want text or json, got "xml"`},
		{"feed name", "--feeds=alpine,Debian Tracker", "", `--feeds: want names of small letters, digits and dashes, got "Debian Tracker"`},
		{"feed twice", "--feeds=alpine,alpine", "", `--feeds: "alpine" is there twice`},
		{"empty feed", "--feeds=alpine,,debian", "", `--feeds: a member of the list is empty`},
		{"pre-shared key", "--clair-psk=no base64", "", `--clair-psk: the pre-shared key is no base64`},
		{"pre-shared key twice", "--clair-psk=a2V5", "PRATIQUE_CLAIR_PSK_FILE=/dev/null", `PRATIQUE_CLAIR_PSK_FILE: /dev/null: the file is empty`},
		{"rate", "--clair-request-rate=-1", "", `--clair-request-rate: want zero or more, got -1`},
		{"notification URL", "--clair-notify-url=ftp://h", "", `--clair-notify-url: want a URL that starts with https:// or http://, got "ftp://h"`},
		{"header field", "--clair-notify-headers=secret", "", `--clair-notify-headers: want NAME=VALUE, without control characters`},
		{"header field with a space", "--clair-notify-headers=X-Token=a b", "", ""},
		{"mode", "--clair-mode=all", "", `--clair-mode: want combo or indexer or matcher or notifier, got "all"`},
		{"network", "--clair-allow-networks=10.0.0.1", "", `--clair-allow-networks: want a network such as 10.1.0.0/16, local or none, got "10.0.0.1"`},
		{"none and more", "--clair-allow-networks=none,local", "", `--clair-allow-networks: none stands alone`},
		{"networks", "--clair-allow-networks=local,10.1.0.0/16,2001:db8::/32", "", ""},
		{"host with port", "--clair-allow-hosts=registry:5000", "", `--clair-allow-hosts: want a host without its port, got "registry:5000"`},
		{"host as URL", "--clair-allow-hosts=https://registry", "", `--clair-allow-hosts: want a host name or an address, got "https://registry"`},
		{"hosts", "--clair-allow-hosts=registry.internal,192.168.1.2,::1", "", ""},
		{"duration", "", "PRATIQUE_UPLOAD_EXPIRY=soon", `--upload-expiry: expected duration but got "soon": time: invalid duration "soon" (from envar PRATIQUE_UPLOAD_EXPIRY="soon")`},
		{"size", "--layer-max-size=-1", "", `--layer-max-size: want a size such as 512MiB or 64GB, got "-1"`},
		{"password file", "", "PRATIQUE_ADMIN_PASSWORD_FILE=not-there", `PRATIQUE_ADMIN_PASSWORD_FILE: open not-there: no such file or directory`},
		{"two passwords", "--admin-password-file=pratique.yaml", "PRATIQUE_ADMIN_PASSWORD=secret", `PRATIQUE_ADMIN_PASSWORD and --admin-password-file: only one of the two can be set`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inFolder(t, "# nothing")
			args := []string{"serve"}
			if test.flag != "" {
				args = append(args, test.flag)
			}
			env := map[string]string{}
			if name, value, ok := strings.Cut(test.env, "="); ok {
				env[name] = value
			}
			_, err := parse(t, args, env)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if strings.Contains(got, "secret") {
				t.Error("the message shows a secret")
			}
		})
	}
}
