package config_test

import (
	"bytes"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/config"
)

// commands is a command line such as the program's.
type commands struct {
	Verbose bool     `help:"A flag that is no setting."`
	Serve   serveCmd `cmd:""`
	Update  struct {
		config.File
		config.Storage `group:"Storage"`
		Feed           string `arg:"" optional:""`
		Output         string `default:"table"`
	} `cmd:""`
}

type serveCmd struct{ config.Serve }

// parse reads a command line, after it has emptied the environment of settings.
func parse(t *testing.T, args []string, env map[string]string) (*commands, error) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "PRATIQUE_") {
			t.Setenv(name, value) // it is put back after the test
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, value := range env {
		t.Setenv(name, value)
	}
	var c commands
	parser, err := kong.New(&c, kong.Name("pratique"), kong.Exit(func(code int) { t.Fatalf("exit %d", code) }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return &c, err
}

// inFolder makes a folder with pratique.yaml in it, where text is not empty,
// and goes there, so that messages name the file as a person would.
func inFolder(t *testing.T, text string) {
	t.Helper()
	t.Chdir(t.TempDir())
	if text != "" {
		if err := os.WriteFile("pratique.yaml", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func defaults(t *testing.T) config.Serve {
	t.Helper()
	c, err := parse(t, []string{"serve"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Serve.Serve
}

var sameSettings = cmpopts.IgnoreFields(config.File{}, "document", "Config")

func TestDefaults(t *testing.T) {
	got := defaults(t)
	want := config.Serve{
		Storage: config.Storage{Data: "./data", BlobFsync: true},
		Listeners: config.Listeners{
			Listen: ":8624", ClairListen: ":6060", HealthListen: ":6061", ShutdownGrace: 30 * time.Second,
		},
		Feeds:    config.Feeds{FeedsSchedule: "17 */6 * * *"},
		Registry: config.Registry{UploadExpiry: 24 * time.Hour, GarbageGrace: 24 * time.Hour},
		Jobs:     config.Jobs{JobHistory: 14 * 24 * time.Hour},
		Layers:   config.Layers{LayerMaxSize: 32 << 30, LayerMaxEntries: 5_000_000, LayerMaxRatio: 200, LayerMaxPath: 4096, LayerMaxFile: 200_000_000, ArchiveMaxDepth: 5, ArchiveMaxSize: 512 << 20},
		Clair: config.Clair{
			ClairMode: "combo", ClairAllowNetworks: []string{"local"}, ClairDownloadSize: 16 << 30, ClairDownloadTime: time.Hour, ClairDownloadRate: 20, ClairCVSS2: true,
		},
		Log: config.Log{LogLevel: "info", LogFormat: "text"},
	}
	if diff := cmp.Diff(want, got, sameSettings); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if got, want := got.DatabaseURL(), "sqlite:data/pratique.db"; got != want {
		t.Errorf("database %q, want %q", got, want)
	}
	if got, want := got.BlobsURL(), "file:data/blobs"; got != want {
		t.Errorf("blobs %q, want %q", got, want)
	}
}

func TestPrecedence(t *testing.T) {
	const file = "listen: :1\nblob-fsync: false\nshutdown-grace: 1m\nlayer-max-size: 1024\nlayer-max-entries: 7\nfeeds: [alpine]\n"
	type values struct {
		Listen  string
		Fsync   bool
		Grace   time.Duration
		Size    config.Bytes
		Entries int
		Feeds   []string
	}
	fromFile := values{":1", false, time.Minute, 1024, 7, []string{"alpine"}}
	environment := map[string]string{
		"PRATIQUE_LISTEN": ":2", "PRATIQUE_BLOB_FSYNC": "true", "PRATIQUE_SHUTDOWN_GRACE": "2m",
		"PRATIQUE_LAYER_MAX_SIZE": "2KiB", "PRATIQUE_LAYER_MAX_ENTRIES": "8", "PRATIQUE_FEEDS": "alpine,debian",
	}
	fromEnvironment := values{":2", true, 2 * time.Minute, 2048, 8, []string{"alpine", "debian"}}
	empty := map[string]string{}
	for name := range environment {
		empty[name] = ""
	}
	flags := []string{
		"--listen=:3", "--no-blob-fsync", "--shutdown-grace=3m", "--layer-max-size=3KiB", "--layer-max-entries=9", "--feeds=osv",
	}
	fromFlags := values{":3", false, 3 * time.Minute, 3072, 9, []string{"osv"}}
	fromDefaults := values{":8624", true, 30 * time.Second, 32 << 30, 5_000_000, []string{}}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{"PRATIQUE_CONFIG": "pratique.yaml"}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	tests := []struct {
		name string
		file string
		env  map[string]string
		args []string
		want values
	}{
		{"defaults", "", nil, nil, fromDefaults},
		{"file by flag", file, nil, []string{"--config=pratique.yaml"}, fromFile},
		{"file by environment", file, with(nil), nil, fromFile},
		{"environment", "", environment, nil, fromEnvironment},
		{"environment over file", file, with(environment), nil, fromEnvironment},
		{"flags", "", nil, flags, fromFlags},
		{"flags over file", file, with(nil), flags, fromFlags},
		{"flags over environment over file", file, with(environment), flags, fromFlags},
		{"empty environment is none", "", empty, nil, fromDefaults},
		{"file over empty environment", file, with(empty), nil, fromFile},
		{"flag for the file over environment for the file", file, map[string]string{"PRATIQUE_CONFIG": "not-there.yaml"}, []string{"--config=pratique.yaml"}, fromFile},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inFolder(t, test.file)
			c, err := parse(t, append([]string{"serve"}, test.args...), test.env)
			if err != nil {
				t.Fatal(err)
			}
			s := c.Serve
			got := values{s.Listen, s.BlobFsync, s.ShutdownGrace, s.LayerMaxSize, s.LayerMaxEntries, s.Feeds.Feeds}
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileServesEveryCommand(t *testing.T) {
	inFolder(t, "data: /srv/pratique\nlisten: :1\n")
	c, err := parse(t, []string{"update", "--config=pratique.yaml", "alpine"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Update.Data != "/srv/pratique" || c.Update.Output != "table" || c.Update.Feed != "alpine" {
		t.Errorf("got %+v", c.Update)
	}
	inFolder(t, "output: json\n")
	_, err = parse(t, []string{"update", "--config=pratique.yaml"}, nil)
	if want := `pratique.yaml:1: unknown key "output"`; err == nil || err.Error() != want {
		t.Errorf("a flag that is no setting: got %v, want %s", err, want)
	}
}

func TestPassword(t *testing.T) {
	tests := []struct {
		name, content, want, fails string
	}{
		{"plain", "s3cret", "s3cret", ""},
		{"newline at the end", "s3cret \n", "s3cret ", ""},
		{"carriage return and newline", "s3cret\r\n", "s3cret", ""},
		{"empty", "\n", "", "--admin-password-file: password: the file is empty"},
		{"two lines", "a\nb\n", "", "--admin-password-file: password: the file has more than one line"},
		{"something else", strings.Repeat("x", 5000), "", "--admin-password-file: password: more than 4096 bytes are no password"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inFolder(t, "")
			if err := os.WriteFile("password", []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := parse(t, []string{"serve", "--admin-password-file=password"}, nil)
			if test.fails != "" {
				if err == nil || err.Error() != test.fails {
					t.Fatalf("got %v, want %s", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Serve.Password(); err != nil || got != test.want {
				t.Errorf("got %q, %v, want %q", got, err, test.want)
			}
		})
	}
	if got, err := (config.Admin{AdminPassword: "direct"}).Password(); err != nil || got != "direct" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestNetworks(t *testing.T) {
	local := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name  string
		words []string
		want  []netip.Prefix
	}{
		{"local", []string{"local"}, local},
		{"none", []string{"none"}, []netip.Prefix{}},
		{"empty", nil, []netip.Prefix{}},
		{"local and more", []string{"local", "192.0.2.9/24"}, append(local[:1:1], netip.MustParsePrefix("192.0.2.0/24"))},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := config.Clair{ClairAllowNetworks: test.words}.Networks(local)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	log := config.Log{LogLevel: "warn", LogFormat: "json"}.Logger(&out)
	log.Info("quiet")
	log.Warn("loud")
	if got := out.String(); strings.Contains(got, "quiet") || !strings.Contains(got, `"msg":"loud"`) {
		t.Errorf("got %s", got)
	}
	out.Reset()
	config.Log{LogLevel: "debug", LogFormat: "text"}.Logger(&out).Debug("fine")
	if got := out.String(); !strings.Contains(got, "level=DEBUG msg=fine") {
		t.Errorf("got %s", got)
	}
}

func TestUnknownEnvironment(t *testing.T) {
	got := config.UnknownEnvironment([]string{
		"HOME=/root", "PRATIQUE_LISTEN=:1", "PRATIQUE_LISTN=:1", "PRATIQUE_ADMIN_PASSWROD=x", "PRATIQUE_CONFIG=a",
		"PRATIQUE_SERVICE_HOST=10.0.0.1", "PRATIQUE_PORT=tcp://10.0.0.1:80", "PRATIQUE_PORT_80_TCP=tcp://10.0.0.1:80",
		"PRATIQUE_WEB_SERVICE_HOST=10.0.0.2", "PRATIQUE_TEST_POSTGRES=postgres://", "PRATIQUE_REAL_DATA=/data",
	})
	want := []string{
		"PRATIQUE_LISTN: there is no such setting; did you mean PRATIQUE_LISTEN?",
		"PRATIQUE_ADMIN_PASSWROD: there is no such setting; did you mean PRATIQUE_ADMIN_PASSWORD?",
		"PRATIQUE_WEB_SERVICE_HOST: there is no such setting",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nothing.yaml")
	for name, args := range map[string][]string{"by flag": {"serve", "--config=" + path}, "by environment": {"serve"}} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, args, map[string]string{"PRATIQUE_CONFIG": path})
			if err == nil || !strings.Contains(err.Error(), "configuration file: open "+path) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestValuesHideSecrets(t *testing.T) {
	var c config.Serve
	c.Listen, c.Database, c.FeedsOff, c.BlobFsync, c.LayerMaxSize = ":1", "postgres://u:secret@h/d", []string{"a", "b"}, true, 1<<30
	values := make(map[string]string)
	for _, v := range c.Values() {
		values[v.Name] = v.Value
	}
	want := map[string]string{"listen": ":1", "database": "", "feeds-off": "a,b", "blob-fsync": "true", "layer-max-size": "1.0 GiB"}
	for name, value := range want {
		if got, ok := values[name]; !ok || got != value {
			t.Errorf("%s is %q, %v, want %q", name, got, ok, value)
		}
	}
	if len(values) != len(config.Settings()) {
		t.Errorf("%d values of %d settings", len(values), len(config.Settings()))
	}
}
