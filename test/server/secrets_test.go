package server_test

import (
	"bytes"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/test/program"
)

// said keeps what a program writes to its log.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// secrets are what must not be seen, by what they are.
type secrets map[string]string

// shownBy names those that a text holds, as they are or in another notation.
func (s secrets) shownBy(text []byte) (names []string) {
	for name, secret := range s {
		for _, form := range []string{secret, base64.RawStdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret))} {
			if bytes.Contains(text, []byte(form)) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// raw makes a request and returns all of the answer.
func (s *server) raw(t *testing.T, method, url, body, user, password string) (status int, text []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err = io.ReadAll(res.Body); err != nil {
		t.Fatal(err)
	}
	for name, values := range res.Header {
		text = fmt.Append(text, "\n", name, values)
	}
	return res.StatusCode, text
}

// TestSecrets gives a server every secret that it takes or makes, has each used, well and
// badly, and looks for them in its log, in all that its interface shows, in the audit
// log, and in what a backup has without the key: the files, and the rows of a database.
func TestSecrets(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		// Others say back what they were told, as some do in their errors.
		others := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			text, _ := json.Marshal(map[string]any{"Error": map[string]string{"Message": "what is " + r.Header.Get("Authorization")}})
			_, _ = w.Write(text)
		}))
		t.Cleanup(others.Close)
		held := secrets{
			"administrator's password": "gangway-of-the-administrator", "user's password": "gangway-of-the-user", "header of a source": "gangway-of-the-source",
			"secret of a webhook": "gangway-of-the-webhook-here", "password of a connector": "gangway-of-the-connector", "secret of the sign-in": "gangway-of-the-sign-in",
			"key of NVD": "gangway-of-the-nvd", "password of the mail server": "gangway-of-the-mail", "header of a source that was changed": "gangway-of-the-changed-source",
			"address of a channel": "gangway-of-the-channel", "query of a webhook": "gangway-of-the-query",
		}
		data, log := t.TempDir(), new(said)
		s := &server{clock: new(program.Clock)}
		p, err := program.Start(s.clock, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), data, held["administrator's password"],
			"--database", database, "--feeds", "alpine", "--nvd-api-key", held["key of NVD"], "--smtp-from", "pratique@example.com",
			"--smtp-url", "smtp://mailer:"+held["password of the mail server"]+"@127.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		s.stop = sync.OnceFunc(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(s.stop)
		s.url, s.health = p.URL, p.Health
		rest := s.url + "/api/v1"
		do := func(method, path, body string, want int) []byte {
			t.Helper()
			status, text := s.raw(t, method, rest+path, body, "admin", held["administrator's password"])
			if status != want {
				t.Fatalf("%s %s: %d, want %d: %s", method, path, status, want, text)
			}
			if shown := held.shownBy(text); len(shown) > 0 {
				t.Errorf("%s %s shows %v", method, path, shown)
			}
			return text
		}
		// made is a secret that an answer shows this once.
		made := func(what, path, body, member string) {
			t.Helper()
			text := do("POST", path, body, http.StatusCreated)
			var answer map[string]any
			if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			secret, _ := answer[member].(string)
			if len(secret) < 20 {
				t.Fatalf("%s: no %s in %s", path, member, text)
			}
			held[what] = secret
		}
		do("POST", "/users", `{"name": "ann", "password": "`+held["user's password"]+`"}`, http.StatusCreated)
		do("PATCH", "/extensions/clair-v1", `{"enabled": true}`, http.StatusOK)
		for _, name := range []string{"clair", "changed"} {
			do("POST", "/vulnerability-sources", `{"name": "`+name+`", "extension": "clair-v1", "url": "`+others.URL+`", "authorization_header": "Bearer `+held["header of a source"]+`"}`, http.StatusCreated)
		}
		do("PATCH", "/vulnerability-sources/changed", `{"authorization_header": "`+held["header of a source that was changed"]+`"}`, http.StatusOK)
		do("POST", "/webhooks", `{"name": "hook", "kind": "webhook", "url": "`+others.URL+`", "secret": "`+held["secret of a webhook"]+`"}`, http.StatusCreated)
		do("POST", "/webhooks", `{"name": "queried", "kind": "webhook", "url": "`+others.URL+`?token=`+held["query of a webhook"]+`"}`, http.StatusCreated)
		do("POST", "/webhooks", `{"name": "channel", "kind": "slack", "url": "http://127.0.0.1:1/services/`+held["address of a channel"]+`"}`, http.StatusCreated)
		do("POST", "/webhooks", `{"name": "mail", "kind": "email", "recipients": ["a@example.com"]}`, http.StatusCreated)
		do("POST", "/connectors", `{"name": "hub", "url": "`+others.URL+`", "username": "me", "password": "`+held["password of a connector"]+`"}`, http.StatusCreated)
		do("PUT", "/registries/main/connectors", `{"connectors": ["hub"]}`, http.StatusOK)
		do("PATCH", "/sign-in-provider", `{"enabled": true, "title": "Us", "issuer": "`+others.URL+`", "client_id": "pratique", "client_secret": "`+held["secret of the sign-in"]+`"}`, http.StatusOK)
		do("PATCH", "/settings", `{"base_url": "`+s.url+`"}`, http.StatusOK)
		made("API key", "/api-keys", `{"name": "ci"}`, "key")
		made("secret of a robot", "/robots", `{"name": "ci", "roles": [{"role": "read", "registry": "main"}]}`, "secret")
		made("admission token", "/admission-tokens", `{"name": "prod"}`, "token")

		// Each is used, where it is wanted and where it is not.
		do("PUT", "/registries/main/vulnerability-sources/clair", "", http.StatusOK)
		do("PUT", "/registries/main/vulnerability-sources/changed", "", http.StatusOK)
		for _, name := range []string{"clair", "changed"} {
			do("POST", "/vulnerability-sources/"+name+"/test", "", http.StatusOK)
		}
		for _, name := range []string{"hook", "queried", "channel", "mail"} {
			do("POST", "/webhooks/"+name+"/test", "", http.StatusAccepted)
		}
		ask := func(method, url, body, user, password string) {
			t.Helper()
			_, text := s.raw(t, method, url, body, user, password)
			if shown := held.shownBy(text); len(shown) > 0 {
				t.Errorf("%s %s shows %v: %s", method, url, shown, text)
			}
		}
		registry := s.registry()
		registry.Password = held["administrator's password"]
		digest, err := registry.Push(t.Context(), "main/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		do("POST", "/images/"+digest+"/scan", "", http.StatusAccepted)
		for _, name := range []string{"clair", "changed"} {
			waitFor(t, "a try of "+name, func() bool {
				return strings.Contains(string(do("GET", "/vulnerability-sources/"+name+"/scans", "", http.StatusOK)), `"state":"waiting"`)
			})
		}
		for who, secret := range map[string]string{"admin": "administrator's password", "ann": "user's password", "api": "API key", "robot+ci": "secret of a robot", "nobody": "user's password"} {
			ask("GET", rest+"/vulnerabilities", "", who, held[secret])
			ask("GET", s.url+"/v2/main/app/manifests/1", "", who, held[secret])
			ask("GET", s.url+"/v2/main/library/none/manifests/1", "", who, held[secret])
			ask("POST", rest+"/session", `{"name": "`+who+`", "password": "`+held[secret]+`"}`, "", "")
		}
		for _, body := range []string{"", "{}", `{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "1"}}`} {
			ask("POST", s.url+"/admission/v1/review/"+held["admission token"], body, "", "")
			ask("POST", s.url+"/admission/v1/review/x"+held["admission token"], body, "", "")
		}
		// What is refused is not repeated.
		ask("POST", rest+"/users", `{"name": "", "password": "`+held["user's password"]+`", "other": 1}`, "admin", held["administrator's password"])
		ask("POST", rest+"/vulnerability-sources", `{"name": "x", "extension": "clair-v1", "url": "http://x", "authorization_header": "`+held["header of a source"]+`\r\n"}`, "admin", held["administrator's password"])

		var description struct {
			Paths map[string]map[string]any
		}
		if err := json.NewDecoder(bytes.NewReader(do("GET", "/openapi.json", "", http.StatusOK))).Decode(&description); err != nil {
			t.Fatal(err)
		}
		asked := 0
		for path, operations := range description.Paths {
			if _, ok := operations["get"]; !ok || path == "/events" {
				continue
			}
			path = strings.NewReplacer("{digest}", digest, "{registry}", "main", "{repository}", "app", "{id}", "1").Replace(path)
			for _, name := range []string{"clair", "hook", "channel", "hub", "alpine", "Block"} {
				ask("GET", rest+strings.ReplaceAll(path, "{name}", name), "", "admin", held["administrator's password"])
				asked++
			}
		}
		if asked < 100 {
			t.Errorf("only %d questions", asked)
		}
		ask("GET", rest+"/audit-log?page_size=1000", "", "admin", held["administrator's password"])
		ask("GET", s.health+"/metrics", "", "", "")
		s.stop()
		if shown := held.shownBy([]byte(log.String())); len(shown) > 0 || len(log.String()) < 100 {
			t.Errorf("the log shows %v: %s", shown, log)
		}
		for _, secret := range held {
			noSecret(t, data, secret)
			noSecret(t, data, base64.RawStdEncoding.EncodeToString([]byte(secret)))
			if file, ok := strings.CutPrefix(database, "sqlite:"); ok {
				noSecret(t, filepath.Dir(file), secret)
			}
		}
		if strings.HasPrefix(database, "postgres:") {
			if shown := held.shownBy(rows(t, database)); len(shown) > 0 {
				t.Errorf("the database holds %v", shown)
			}
		}
	})
}

// rows are all rows of all tables of a PostgreSQL, as a dump has them.
func rows(t *testing.T, database string) (all []byte) {
	t.Helper()
	db, err := sql.Open("pgx", database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	read := func(query string) (texts []string) {
		found, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		defer found.Close()
		for found.Next() {
			var text string
			if err := found.Scan(&text); err != nil {
				t.Fatal(err)
			}
			texts = append(texts, text)
		}
		if err := found.Err(); err != nil {
			t.Fatal(err)
		}
		return texts
	}
	tables := read(`select quote_ident(table_name) from information_schema.tables where table_schema = current_schema() and table_type = 'BASE TABLE'`)
	if len(tables) < 50 {
		t.Errorf("only the tables %v", tables)
	}
	for _, table := range tables {
		for _, row := range read(`select t::text from ` + table + ` t`) {
			all = append(append(all, row...), '\n')
		}
	}
	if !bytes.Contains(all, []byte("vulnerability-source.create")) {
		t.Error("the audit log is not among what was read")
	}
	return all
}
