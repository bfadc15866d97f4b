// Package config holds the settings of Pratique: their names, their defaults,
// where they come from and what makes a value wrong.
//
// A setting has one name everywhere: the flag --clair-listen, the environment
// variable PRATIQUE_CLAIR_LISTEN, the key clair-listen of the YAML file. The
// first of these that gives it wins, in this order; then comes its default.
//
// The structs are parts of kong command lines: a command embeds File and the
// sections that it needs, or Serve, which is all of them. The package must not
// know the packages that are configured; the composition root translates.
package config

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Off is the value that switches a listener or a schedule off.
const Off = "off"

// Local, in a list of networks, stands for loopback and the private networks.
const Local = "local"

// None, as the only member of a list of networks, is the empty list.
const None = "none"

// Serve is every setting. It is the command line of `pratique serve`.
type Serve struct {
	File
	Storage   `group:"Storage"`
	Listeners `group:"Network"`
	Admin     `group:"Access"`
	Feeds     `group:"Feeds"`
	Registry  `group:"Registry"`
	Jobs      `group:"Jobs"`
	Telling   `group:"E-mail"`
	Layers    `group:"Analysis"`
	Clair     `group:"Clair"`
	Log       `group:"Log"`
}

// Storage says where everything is kept.
type Storage struct {
	Data      string `name:"data" env:"PRATIQUE_DATA" default:"./data" placeholder:"DIR" check:"filled" help:"Folder for the database, the blobs and the keys, as far as they have no place of their own. It is made if it is not there."`
	Database  string `name:"database" env:"PRATIQUE_DATABASE" placeholder:"URL" check:"database" secret:"" help:"Database: sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME. Empty is the file pratique.db in the data folder."`
	Blobs     string `name:"blobs" env:"PRATIQUE_BLOBS" placeholder:"URL" check:"blobs" help:"Where blobs are kept: file:DIR. Empty is the folder blobs in the data folder."`
	SecretKey string `name:"secret-key-file" env:"PRATIQUE_SECRET_KEY_FILE" placeholder:"FILE" help:"File with the key that credentials for other services are encrypted with; it is made if it is not there. Replicas need the same one. Empty is the file secret.key in the data folder. A backup needs it, beside the database."`
	BlobFsync bool   `name:"blob-fsync" env:"PRATIQUE_BLOB_FSYNC" default:"true" negatable:"" help:"Have a blob on the disk before its push is answered. Without it a power cut can lose blobs that were pushed a moment before."`
}

// DatabaseURL is the database to open, the default spelt out.
func (s Storage) DatabaseURL() string {
	if s.Database == "" {
		return "sqlite:" + filepath.Join(s.Data, "pratique.db")
	}
	return s.Database
}

// BlobsURL is the blob store to open, the default spelt out.
func (s Storage) BlobsURL() string {
	if s.Blobs == "" {
		return "file:" + filepath.Join(s.Data, "blobs")
	}
	return s.Blobs
}

// SecretKeyPath is the key file, the default spelt out.
func (s Storage) SecretKeyPath() string {
	if s.SecretKey == "" {
		return filepath.Join(s.Data, "secret.key")
	}
	return s.SecretKey
}

// Listeners says where the server listens and how others reach it. An address
// is HOST:PORT, with an empty HOST for every interface; port 0 is any free one.
type Listeners struct {
	Listen        string        `name:"listen" env:"PRATIQUE_LISTEN" default:":8624" placeholder:"ADDRESS" check:"address" help:"Address of the user interface, the REST API and the registry."`
	ClairListen   string        `name:"clair-listen" env:"PRATIQUE_CLAIR_LISTEN" default:":6060" placeholder:"ADDRESS" check:"address-or-off" help:"Address of the Clair API, or off."`
	HealthListen  string        `name:"health-listen" env:"PRATIQUE_HEALTH_LISTEN" default:":6061" placeholder:"ADDRESS" check:"address-or-off" help:"Address of /health, /healthz, /readyz and /metrics, or off."`
	BaseURL       string        `name:"base-url" env:"PRATIQUE_BASE_URL" placeholder:"URL" check:"base-url" help:"The address by which people and clients reach this server, as in https://registry.example.com. Empty is what each request says."`
	ShutdownGrace time.Duration `name:"shutdown-grace" env:"PRATIQUE_SHUTDOWN_GRACE" default:"30s" placeholder:"DURATION" check:"positive" help:"How long requests under way may take to end after SIGTERM."`
}

// Admin says how the first user gets in.
type Admin struct {
	AdminPassword     string `name:"admin-password" env:"PRATIQUE_ADMIN_PASSWORD" placeholder:"PASSWORD" secret:"" help:"Password that the first start gives the user admin. Where none is set, it makes one up and prints it once. Other users of the machine can read a flag: better use the environment or admin-password-file."`
	AdminPasswordFile string `name:"admin-password-file" env:"PRATIQUE_ADMIN_PASSWORD_FILE" placeholder:"FILE" check:"password-file" help:"File with the admin password, as a container secret gives it. A newline at its end does not count."`
}

// maxPassword bounds a password file, in bytes: a wrong path is not a password.
const maxPassword = 4096

// Password is the first password of the user admin, "" where none is set.
func (a Admin) Password() (string, error) {
	if a.AdminPasswordFile == "" {
		return a.AdminPassword, nil
	}
	f, err := os.Open(a.AdminPasswordFile)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPassword+1))
	if err != nil {
		return "", err
	}
	password := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case len(text) > maxPassword:
		return "", fmt.Errorf("%s: more than %d bytes are no password", a.AdminPasswordFile, maxPassword)
	case password == "":
		return "", fmt.Errorf("%s: the file is empty", a.AdminPasswordFile)
	case strings.ContainsAny(password, "\r\n"):
		return "", fmt.Errorf("%s: the file has more than one line", a.AdminPasswordFile)
	}
	return password, nil
}

// Feeds says which advisories are fetched, from where and when.
type Feeds struct {
	Feeds         []string `name:"feeds" env:"PRATIQUE_FEEDS" placeholder:"NAME,..." check:"names" help:"The feeds that are kept up to date. An empty list is all of them."`
	FeedsOff      []string `name:"feeds-off" env:"PRATIQUE_FEEDS_OFF" placeholder:"NAME,..." check:"names" help:"Feeds that are not kept up to date. What is stored of them stays."`
	FeedsSchedule string   `name:"feeds-schedule" env:"PRATIQUE_FEEDS_SCHEDULE" default:"17 */6 * * *" placeholder:"CRON" check:"schedule" help:"When the feeds are fetched, a cron expression in UTC, or off."`
	FeedsMirror   string   `name:"feeds-mirror" env:"PRATIQUE_FEEDS_MIRROR" placeholder:"URL|DIR" check:"mirror" help:"Read https://HOST/PATH of a feed from URL/HOST/PATH or DIR/HOST/PATH instead."`
	FeedsRedirect []string `name:"feeds-redirect" env:"PRATIQUE_FEEDS_REDIRECT" placeholder:"URL=URL,..." check:"redirects" help:"Read what starts with the first URL from the second instead, of single publishers: https://secdb.alpinelinux.org=https://mirror.example.com/alpine. The longest that fits counts; no mirror is asked then."`
	NVDAPIKey     string   `name:"nvd-api-key" env:"PRATIQUE_NVD_API_KEY" placeholder:"KEY" secret:"" help:"Key for the API of NVD, which then answers ten times as many requests. Other users of the machine can read a flag: better use the environment."`
}

// Registry holds the settings of pushes.
type Registry struct {
	UploadExpiry time.Duration `name:"upload-expiry" env:"PRATIQUE_UPLOAD_EXPIRY" default:"24h" placeholder:"DURATION" check:"positive" help:"How long an upload may rest before it is given up."`
	GarbageGrace time.Duration `name:"garbage-grace" env:"PRATIQUE_GARBAGE_GRACE" default:"24h" placeholder:"DURATION" check:"positive" help:"How long blobs and analyses that nothing refers to are kept: a client that was told that a blob is there may rely on that for half the time."`
}

// Jobs holds the settings of background work.
type Jobs struct {
	JobHistory time.Duration `name:"job-history" env:"PRATIQUE_JOB_HISTORY" default:"336h" placeholder:"DURATION" check:"positive" help:"How long jobs that finished are remembered, with their logs."`
}

// Telling says how e-mail is sent.
type Telling struct {
	SMTPServer string `name:"smtp-url" env:"PRATIQUE_SMTP_URL" placeholder:"URL" secret:"" help:"Mail server for webhooks of the kind email: smtp://USER:PASSWORD@HOST:PORT, which turns to TLS, or smtps:// for TLS from the start. Empty sends no e-mail. Other users of the machine can read a flag: better use the environment."`
	SMTPFrom   string `name:"smtp-from" env:"PRATIQUE_SMTP_FROM" placeholder:"ADDRESS" help:"Sender of e-mail."`
}

// Layers bounds what the analysis of one layer may cost.
type Layers struct {
	LayerMaxSize    Bytes `name:"layer-max-size" env:"PRATIQUE_LAYER_MAX_SIZE" default:"32GiB" placeholder:"SIZE" check:"positive" help:"How large a layer may be, as it is and uncompressed."`
	LayerMaxEntries int   `name:"layer-max-entries" env:"PRATIQUE_LAYER_MAX_ENTRIES" default:"5000000" placeholder:"N" check:"positive" help:"How many files and folders a layer may have."`
	LayerMaxRatio   int   `name:"layer-max-ratio" env:"PRATIQUE_LAYER_MAX_RATIO" default:"200" placeholder:"N" check:"positive" help:"How many times its size a layer may have uncompressed, once that is more than 512 MiB."`
	LayerMaxPath    int   `name:"layer-max-path" env:"PRATIQUE_LAYER_MAX_PATH" default:"4096" placeholder:"BYTES" check:"positive" help:"How long the name of a file or the target of a link may be."`
	LayerMaxFile    Bytes `name:"layer-max-file" env:"PRATIQUE_LAYER_MAX_FILE" default:"200MB" placeholder:"SIZE" check:"positive" help:"How large a file may be that is looked into; sparse files count in full."`
	ArchiveMaxDepth int   `name:"archive-max-depth" env:"PRATIQUE_ARCHIVE_MAX_DEPTH" default:"5" placeholder:"N" check:"positive" help:"How deep archives in archives are looked into."`
	ArchiveMaxSize  Bytes `name:"archive-max-size" env:"PRATIQUE_ARCHIVE_MAX_SIZE" default:"512MiB" placeholder:"SIZE" check:"positive" help:"How much of one archive is decompressed."`
}

// Log says what is logged and how.
type Log struct {
	LogLevel  string `name:"log-level" env:"PRATIQUE_LOG_LEVEL" default:"info" oneof:"debug,info,warn,error" placeholder:"LEVEL" help:"The least important messages that are logged: debug, info, warn or error."`
	LogFormat string `name:"log-format" env:"PRATIQUE_LOG_FORMAT" default:"text" oneof:"text,json" placeholder:"FORMAT" help:"How messages are written: text or json."`
}

// Logger writes to w as the settings say.
func (l Log) Logger(w io.Writer) *slog.Logger {
	var level slog.Level
	// The level was checked when the settings were read; the zero level is info.
	_ = level.UnmarshalText([]byte(l.LogLevel))
	options := &slog.HandlerOptions{Level: level}
	if l.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
