package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// ImportedKey says what became of a key of a foreign configuration.
type ImportedKey struct {
	// Key is its path, "indexer.connstring".
	Key string
	// Setting is ours that it became, "" where there is none.
	Setting string
	// Note is a sentence for people.
	Note string
}

// maxImported bounds a configuration file, in bytes, and its keys.
const (
	maxImported     = 1 << 20
	maxImportedKeys = 2000
)

// ImportClair reads the configuration of Clair 2.x or 4.x, and returns ours, as a
// YAML file, with what became of every key, in the order of the file.
func ImportClair(content []byte) (text string, keys []ImportedKey, err error) {
	if len(content) > maxImported {
		return "", nil, fmt.Errorf("the file is longer than %d bytes", maxImported)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return "", nil, fmt.Errorf("it is no YAML: %w", err)
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return "", nil, errors.New("it is no mapping of settings")
	}
	i := clairImport{settings: make(map[string]any)}
	if err := i.walk("", document.Content[0]); err != nil {
		return "", nil, err
	}
	if len(i.keys) == 0 {
		return "", nil, errors.New("it holds no settings")
	}
	return i.write(), i.keys, nil
}

// clairImport collects what becomes of keys.
type clairImport struct {
	settings map[string]any // by the name of ours
	keys     []ImportedKey
}

// whole are keys whose value is one thing, whatever is below.
var whole = []string{
	"auth.psk.iss", "notifier.webhook.headers", "updaters.sets", "matchers.names", "updaters.config", "matchers.config",
	"indexer.scanner", "clair.updater.enabledupdaters",
}

func (i *clairImport) walk(path string, node *yaml.Node) error {
	if node.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: %s: an alias of YAML; write it out", node.Line, path)
	}
	if node.Kind == yaml.MappingNode && !slices.Contains(whole, path) && len(node.Content) > 0 {
		for k := 0; k+1 < len(node.Content); k += 2 {
			below := node.Content[k].Value
			if path != "" {
				below = path + "." + below
			}
			if err := i.walk(below, node.Content[k+1]); err != nil {
				return err
			}
		}
		return nil
	}
	if path == "" {
		return nil
	}
	if len(i.keys) >= maxImportedKeys {
		return fmt.Errorf("it has more than %d keys", maxImportedKeys)
	}
	setting, note, err := i.take(path, node)
	if err != nil {
		return fmt.Errorf("line %d: %s: %w", node.Line, path, err)
	}
	i.keys = append(i.keys, ImportedKey{path, setting, note})
	return nil
}

// becomes are keys whose value is taken as it is, by the setting that they become.
var becomes = map[string]string{
	"notifier.webhook.target":      "clair-notify-url",
	"notifier.webhook.callback":    "clair-notify-callback",
	"notifier.disable_summary":     "clair-notify-all",
	"clair.notifier.http.endpoint": "clair-v1-notify-url",
	"matcher.cache_age":            "clair-cache-age",
	"mode":                         "clair-mode",
}

// needless are keys, or beginnings of keys, for which there is nothing to set, and why.
var needless = []struct{ key, why string }{
	{"clair.api.paginationkey", "pages are named without a key, and do not expire"},
	{"clair.api.timeout", "a request of the v1 API is answered within 90 s, for clients give up after 100"},
	{"clair.notifier.attempts", "notifications are sent until they arrive, or for 90 days"},
	{"clair.notifier.renotifyinterval", "what is not marked as read is sent again after two hours"},
	{"clair.notifier.http.proxy", "HTTP_PROXY and HTTPS_PROXY in the environment count for notifications"},
	{"clair.notifier.http.", "certificates of the receiver are checked with the system's authorities; client certificates are not sent"},
	{"clair.database.options.cachesize", "nothing is cached that could be out of date"},
	{"clair.database.options.paginationkey", "pages are named without a key, and do not expire"},
	{"clair.database.options.managedatabaselifecycle", "databases are neither made nor dropped"},
	{"clair.database.options.fixturepath", "fixtures are for Clair's developers"},
	{"clair.database.type", "SQLite or PostgreSQL, as the database's address says"},
	{"clair.worker.", "the names of packages and distributions are found by built-in detectors"},
	{"clair.updater.", "feeds are kept up to date on the schedule of feeds-schedule"},
	{"clair.api.", "the listener speaks plain HTTP; a proxy before it can speak TLS and ask for client certificates"},
	{"indexer.scanlock_retry", "layers are locked without polling"},
	{"indexer.layer_scan_concurrency", "a manifest's layers are read by as many processors as there are, four at most"},
	{"indexer.migrations", "the schema is always brought up to date at start"},
	{"matcher.migrations", "the schema is always brought up to date at start"},
	{"notifier.migrations", "the schema is always brought up to date at start"},
	{"indexer.scanner", "detectors need no settings, and ask nobody"},
	{"indexer.airgap", "detectors ask nobody; clair-allow-networks says where layers are fetched from"},
	{"matcher.indexer_addr", "indexer, matcher and notifier share a database and need not find each other"},
	{"notifier.indexer_addr", "indexer, matcher and notifier share a database and need not find each other"},
	{"notifier.matcher_addr", "indexer, matcher and notifier share a database and need not find each other"},
	{"matcher.updater_sets", "Clair itself does not read it any more; updaters.sets counts"},
	{"matcher.max_conn_pool", "16 connections at most"},
	{"matcher.update_retention", "ten readings of each document are remembered"},
	{"matcher.disable_enrichment", "scores are stored beside advisories; feeds-off can leave nvd, epss and kev out"},
	{"matchers.", "every matcher is on; what a feed says decides"},
	{"updaters.filter", "feeds and feeds-off take names"},
	{"updaters.config", "use feeds-redirect or feeds-mirror for other addresses"},
	{"notifier.poll_interval", "notifications are made as soon as feeds were read"},
	{"notifier.delivery_interval", "what does not arrive is sent again after 5 s, then less often, at least every 15 minutes"},
	{"notifier.webhook.signed", "notifications are signed where there is a pre-shared key"},
	{"notifier.amqp", "NOT TAKEN OVER: there is no delivery by AMQP; use a webhook"},
	{"notifier.stomp", "NOT TAKEN OVER: there is no delivery by STOMP; use a webhook"},
	{"auth.keyserver", "NOT TAKEN OVER: Clair itself has given the key server up; use a pre-shared key"},
	{"tls.", "NOT TAKEN OVER: the listener speaks plain HTTP; put a proxy before it"},
	{"trace.", "there are no traces"},
	{"metrics.", "metrics are at /metrics of health-listen"},
}

// take decides on a key.
func (i *clairImport) take(path string, node *yaml.Node) (setting, note string, err error) {
	scalar := func() (string, error) {
		if node.Kind != yaml.ScalarNode {
			return "", errors.New("want a single value")
		}
		return node.Value, nil
	}
	if name := becomes[path]; name != "" {
		value, err := scalar()
		if err != nil || value == "" || node.Tag == "!!null" {
			return "", "it is empty", err
		}
		return name, "taken over", i.set(name, value)
	}
	switch path {
	case "http_listen_addr":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		return "clair-listen", "taken over", i.set("clair-listen", value)
	case "introspection_addr":
		value, err := scalar()
		if err != nil || value == "" {
			return "", "it is empty", err
		}
		return "health-listen", "taken over; /healthz, /readyz and /metrics are there", i.set("health-listen", value)
	case "clair.api.addr", "clair.api.port":
		return i.port("clair-listen", node)
	case "clair.api.healthaddr", "clair.api.healthport":
		return i.port("health-listen", node)
	case "log_level":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		level := map[string]string{"debug": "debug", "debug-color": "debug", "info": "info", "warn": "warn", "error": "error", "fatal": "error", "panic": "error"}[strings.ToLower(value)]
		if level == "" {
			return "", fmt.Sprintf("%q is no level of ours; info counts", value), nil
		}
		return "log-level", "taken over", i.set("log-level", level)
	case "clair.database.options.source", "indexer.connstring", "matcher.connstring", "notifier.connstring":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		return i.database(value)
	case "auth.psk.key":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		if _, err := (Clair{ClairPSK: value}).PSK(); err != nil {
			return "", "", err
		}
		return "clair-psk", "taken over; a secret had better be in a file, see clair-psk-file", i.set("clair-psk", value)
	case "auth.psk.iss":
		var issuers []string
		if node.Kind == yaml.ScalarNode {
			issuers = []string{node.Value}
		} else if err := node.Decode(&issuers); err != nil {
			return "", "", errors.New("want a list of names")
		}
		return "clair-psk-issuers", "taken over", i.set("clair-psk-issuers", issuers)
	case "notifier.webhook.headers":
		return i.headers(node)
	case "indexer.index_report_request_concurrency":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		n, err := strconv.Atoi(value)
		if err != nil {
			return "", "", errors.New("want a number")
		}
		return "clair-index-concurrency", "taken over", i.set("clair-index-concurrency", max(n, 0))
	case "matcher.period", "clair.updater.interval":
		value, err := scalar()
		if err != nil {
			return "", "", err
		}
		return i.period(value)
	case "matcher.disable_updaters":
		if value, err := scalar(); err != nil || value != "true" {
			return "", "feeds are kept up to date on the schedule of feeds-schedule", err
		}
		return "feeds-schedule", "off: bring data in by pratique feeds import", i.set("feeds-schedule", Off)
	case "updaters.sets":
		return i.feeds(node)
	case "clair.updater.enabledupdaters":
		// Scores are no updater there: Clair 2 always reads NVD's, and ProGet wants them.
		return i.feeds(node, "nvd")
	}
	for _, n := range needless {
		if path == n.key || strings.HasSuffix(n.key, ".") && strings.HasPrefix(path, n.key) || strings.HasPrefix(path, n.key+".") {
			return "", n.why, nil
		}
	}
	return "", "NOT TAKEN OVER: no key of Clair's that is known here", nil
}

func (i *clairImport) set(name string, value any) error {
	for _, s := range Settings() {
		if s.Name == name && s.Kind() == "true or false" {
			flag, err := strconv.ParseBool(fmt.Sprint(value))
			if err != nil {
				return fmt.Errorf("want true or false, got %q", value)
			}
			value = flag
		}
	}
	i.settings[name] = value
	return nil
}

func (i *clairImport) port(name string, node *yaml.Node) (string, string, error) {
	value := node.Value
	if node.Kind != yaml.ScalarNode || value == "" {
		return "", "", errors.New("want an address or a port")
	}
	if _, err := strconv.ParseUint(value, 10, 16); err == nil {
		value = ":" + value
	}
	if err := checkAddress(value); err != nil {
		return "", "", err
	}
	return name, "taken over", i.set(name, value)
}

// database proposes the same server: Clair's own tables are of no use, so a
// database beside it must be made.
func (i *clairImport) database(source string) (string, string, error) {
	const note = "the same server and user; make an empty database pratique there, for Clair's tables are not read, or leave the setting out for SQLite"
	u, err := url.Parse(source)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		u = &url.URL{Scheme: "postgres", Host: "localhost"}
		query := url.Values{}
		user, password := "", ""
		for word := range strings.FieldsSeq(source) {
			name, value, ok := strings.Cut(word, "=")
			value = strings.Trim(value, "'")
			switch {
			case !ok:
				return "", "", errors.New("want postgres://… or words NAME=VALUE")
			case name == "host":
				u.Host = value + u.Host[len(u.Hostname()):]
			case name == "port":
				u.Host = u.Hostname() + ":" + value
			case name == "user":
				user = value
			case name == "password":
				password = value
			case name == "sslmode" || name == "sslrootcert" || name == "sslcert" || name == "sslkey":
				query.Set(name, value)
			}
		}
		if user != "" {
			u.User = url.User(user)
		}
		if password != "" {
			u.User = url.UserPassword(user, password)
		}
		if strings.HasPrefix(u.Host, "/") { // a socket's folder
			query.Set("host", u.Hostname())
			u.Host = ""
		}
		u.RawQuery = query.Encode()
	}
	u.Path = "/pratique"
	if old, known := i.settings["database"]; known && old != u.String() {
		return "", "NOT TAKEN OVER: there is one database here, and an earlier key names another", nil
	}
	return "database", note, i.set("database", u.String())
}

func (i *clairImport) headers(node *yaml.Node) (string, string, error) {
	var given map[string][]string
	if err := node.Decode(&given); err != nil {
		return "", "", errors.New("want names with lists of values")
	}
	var list []string
	for name, values := range given {
		for _, v := range values {
			field := name + "=" + v
			if !headerField.MatchString(field) || strings.Contains(field, ",") {
				return "", "", fmt.Errorf("the field %s cannot be sent", name)
			}
			list = append(list, field)
		}
	}
	slices.Sort(list)
	return "clair-notify-headers", "taken over", i.set("clair-notify-headers", list)
}

// period makes a schedule of an interval.
func (i *clairImport) period(text string) (string, string, error) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return "", "", errors.New("want a duration such as 6h")
	case d == 0:
		return "feeds-schedule", "off, as it was", i.set("feeds-schedule", Off)
	case d < time.Hour:
		return "feeds-schedule", "every hour: publishers do not change more often", i.set("feeds-schedule", "17 * * * *")
	case d >= 24*time.Hour:
		return "feeds-schedule", "once a day", i.set("feeds-schedule", "17 2 * * *")
	}
	hours := int(d.Hours())
	for 24%hours != 0 { // a schedule starts anew each day
		hours--
	}
	return "feeds-schedule", fmt.Sprintf("every %d h", hours), i.set("feeds-schedule", fmt.Sprintf("17 */%d * * *", hours))
}

// updaterFeeds are our feeds for Clair's sets of updaters.
var updaterFeeds = map[string][]string{
	"alpine": {"alpine"}, "aws": {"amazon"}, "clair.cvss": {"nvd"}, "clair.epss": {"epss"}, "clair.kev": {"kev"}, "debian": {"debian"}, "oracle": {"oracle"},
	"osv": {"crates-io", "go", "maven", "npm", "nuget", "packagist", "pypi", "rubygems"}, "photon": {"photon"}, "rhcc": {"redhat"}, "rhel": {"redhat"},
	"rhel-vex": {"redhat"}, "suse": {"suse"}, "ubuntu": {"ubuntu"}, "nvd": {"nvd"}, "pyupio": {"pypi"},
	"amzn1": {"amazon"}, "amzn2": {"amazon"}, "opensuse": {"suse"}, // of 2.1
}

func (i *clairImport) feeds(node *yaml.Node, besides ...string) (string, string, error) {
	var sets []string
	if err := node.Decode(&sets); err != nil {
		return "", "", errors.New("want a list of names")
	}
	if len(sets) == 0 {
		return "", "an empty list is all feeds, here as there", nil
	}
	feeds, unknown := slices.Clone(besides), []string(nil)
	for _, name := range sets {
		if found := updaterFeeds[name]; found != nil {
			feeds = append(feeds, found...)
		} else {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(feeds)
	feeds = slices.Compact(feeds)
	note := "taken over"
	if len(unknown) > 0 {
		note += "; NOT TAKEN OVER: " + strings.Join(unknown, ", ")
	}
	return "feeds", note, i.set("feeds", feeds)
}

// write is the file, with the settings in the order of ours.
func (i *clairImport) write() string {
	var b strings.Builder
	b.WriteString("# Made by pratique config import clair.\n")
	for _, s := range Settings() {
		value, ok := i.settings[s.Name]
		if !ok {
			continue
		}
		text, err := json.Marshal(value) // YAML holds JSON
		if err != nil {
			continue // texts, numbers and lists of these always can be written
		}
		if s.Kind() == "duration" {
			text = []byte(fmt.Sprint(value))
		}
		fmt.Fprintf(&b, "%s: %s\n", s.Name, text)
	}
	return b.String()
}
