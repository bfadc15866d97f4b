package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/bundle"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// publish stores what a feed says of packages: name to fixed version.
func publish(t *testing.T, s *store.Store, name string, fixes map[string]string) {
	t.Helper()
	var entries []feed.Entry
	for pkg, fixed := range fixes {
		vulnerability := "CVE-2024-" + pkg
		g := advisory.Group{Part: "all", Name: pkg, Advisories: []advisory.Advisory{{
			ID: "X-1", Vulnerability: vulnerability, Ecosystem: "debian:12", Package: pkg, Source: true, Status: advisory.Affected, Fixed: fixed, Severity: advisory.High,
		}}, Details: map[string]advisory.Detail{vulnerability: {Description: "What " + pkg + " has.", Aliases: []string{"GHSA-" + pkg}, Published: noon}}}
		entries = append(entries, feed.Entry{Group: g, Fingerprint: sha256.Sum256([]byte(pkg + fixed))})
	}
	if err := s.ReplaceAdvisories(t.Context(), name, "all", entries, nil, match.Package); err != nil {
		t.Fatal(err)
	}
	part := feed.PartState{Part: "all", URL: "https://example.com/all", Digest: "sha256:x", Revision: 2, Ecosystems: []string{"debian:12"}, Packages: len(fixes), Checked: noon, Changed: noon}
	if err := s.SaveFeedPart(t.Context(), name, part); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.BeginFeedUpdate(t.Context(), name, noon), s.EndFeedUpdate(t.Context(), name, noon, true, "")); err != nil {
		t.Fatal(err)
	}
}

// known lists what a store has, a line a group.
func known(t *testing.T, s *store.Store, feeds ...string) (lines []string) {
	t.Helper()
	for _, name := range feeds {
		status, err := s.FeedStatus(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range status.Parts {
			lines = append(lines, fmt.Sprintf("%s %s %s %s", name, p.Part, p.URL, p.Checked.Format(time.RFC3339)))
			if err := s.Groups(t.Context(), name, p.Part, func(e feed.Entry) error {
				lines = append(lines, fmt.Sprintf("%s %x %+v %+v", e.Name, e.Fingerprint[:2], e.Advisories, e.Details))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return lines
}

func newKey(t *testing.T) (ed25519.PrivateKey, ed25519.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return private, public
}

func export(t *testing.T, s *store.Store, key ed25519.PrivateKey, made time.Time, feeds ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := bundle.Export(t.Context(), &out, s, feeds, key, "1", t.TempDir(), made); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(t *testing.T, content []byte, key ed25519.PublicKey) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Open(bytes.NewReader(content), int64(len(content)), key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestWhatIsExportedIsImported(t *testing.T) {
	private, public := newKey(t)
	storetest.Each(t, store.Options{}, func(t *testing.T, to *store.Store) {
		from := storetest.SQLite(t, store.Options{})
		publish(t, from, "one", map[string]string{"curl": "2", "zlib": "3"})
		publish(t, from, "two", map[string]string{"musl": "4"})
		publish(t, to, "one", map[string]string{"curl": "2", "gone": "1"})
		publish(t, to, "three", map[string]string{"kept": "1"})

		result, err := open(t, export(t, from, private, noon, "one", "two", "never updated"), public).Import(t.Context(), to, match.Package, bundle.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if result.Changed != 2 || result.Removed != 1 {
			t.Errorf("%d changed, %d removed; want 2 and 1", result.Changed, result.Removed)
		}
		if diff := cmp.Diff(known(t, from, "one", "two"), known(t, to, "one", "two")); diff != "" {
			t.Errorf("imported (-want +got):\n%s", diff)
		}
		if got := known(t, to, "three"); len(got) != 2 {
			t.Errorf("a feed that the bundle does not have changed: %q", got)
		}
		status, err := to.FeedStatus(t.Context(), "two")
		if err != nil || !status.LastSuccess.Equal(noon) {
			t.Errorf("the feed was last confirmed at %s, %v; want %s", status.LastSuccess, err, noon)
		}
		result, err = open(t, export(t, from, private, noon.Add(time.Hour), "one", "two"), public).Import(t.Context(), to, match.Package, bundle.Options{})
		if err != nil || result.Changed != 0 || result.Removed != 0 {
			t.Errorf("the same again: %+v, %v", result, err)
		}
	})
}

func TestOlderBundlesAreRefused(t *testing.T) {
	private, public := newKey(t)
	s := storetest.SQLite(t, store.Options{})
	publish(t, s, "one", map[string]string{"curl": "2"})
	before := open(t, export(t, s, private, noon, "one"), public)
	after := open(t, export(t, s, private, noon.Add(time.Hour), "one"), public)
	to := storetest.SQLite(t, store.Options{})
	if _, err := after.Import(t.Context(), to, match.Package, bundle.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := before.Import(t.Context(), to, match.Package, bundle.Options{}); !errors.Is(err, bundle.ErrOlder) {
		t.Errorf("got %v, want ErrOlder", err)
	}
	if _, err := before.Import(t.Context(), to, match.Package, bundle.Options{AllowOlder: true}); err != nil {
		t.Error(err)
	}
}

// forge makes a bundle with an entry of its own, soundly signed.
func forge(t *testing.T, key ed25519.PrivateKey, advisories []byte, change func(*bundle.Manifest)) []byte {
	t.Helper()
	sum := sha256.Sum256(advisories)
	m := bundle.Manifest{Format: 1, Created: noon, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: int64(len(advisories))}
	if change != nil {
		change(&m)
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, entry{"manifest.json", text}, entry{"manifest.sig", ed25519.Sign(key, text)}, entry{"advisories.zst", advisories})
}

type entry struct {
	name    string
	content []byte
}

func archive(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		if err := w.WriteHeader(&tar.Header{Name: e.name, Size: int64(len(e.content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func pack(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWhatIsNotToBeTrustedIsNotOpened(t *testing.T) {
	private, public := newKey(t)
	stranger, _ := newKey(t)
	s := storetest.SQLite(t, store.Options{})
	publish(t, s, "one", map[string]string{"curl": "2"})
	good := export(t, s, private, noon, "one")
	flip := func(at int) []byte {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		return bad
	}
	text := bytes.Index(good, []byte(`"program"`))
	packed := bytes.Index(good, []byte("\x28\xb5\x2f\xfd"))
	tests := []struct {
		name    string
		content []byte
		want    error
	}{
		{"by a stranger", export(t, s, stranger, noon, "one"), bundle.ErrUntrusted},
		{"a changed manifest", flip(text + 2), bundle.ErrUntrusted},
		{"changed advisories", flip(packed + 20), bundle.ErrDamaged},
		{"cut off", good[:packed+30], bundle.ErrDamaged},
		{"empty", nil, bundle.ErrDamaged},
		{"something else", []byte("<html>"), bundle.ErrDamaged},
		{"another order", archive(t, entry{"advisories.zst", nil}), bundle.ErrDamaged},
		{"a huge manifest", archive(t, entry{"manifest.json", make([]byte, 2<<20)}), bundle.ErrDamaged},
		{"no signature", archive(t, entry{"manifest.json", []byte("{}")}), bundle.ErrDamaged},
		{"a short signature", archive(t, entry{"manifest.json", []byte("{}")}, entry{"manifest.sig", []byte("x")}), bundle.ErrUntrusted},
		{"of a newer program", forge(t, private, nil, func(m *bundle.Manifest) { m.Format = 3 }), bundle.ErrFormat},
		{"of another size", forge(t, private, []byte("x"), func(m *bundle.Manifest) { m.Size = 2 }), bundle.ErrDamaged},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := bundle.Open(bytes.NewReader(test.content), int64(len(test.content)), public); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestABundleThatFailsChangesNothing(t *testing.T) {
	private, public := newKey(t)
	print := `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="`
	part := `{"feed":"one","part":{"Part":"all","Ecosystems":["debian:12"]}}` + "\n"
	group := `{"group":{"name":"curl","fingerprint":` + print + `,"advisories":[{"vulnerability":"CVE-1","ecosystem":"debian:12","package":"curl","status":"affected","severity":"high"}]}}` + "\n"
	for name, text := range map[string]string{
		"a line that is no JSON":     part + group + "{",
		"a group before a document":  group,
		"an empty line":              part + group + "{}\n",
		"no fingerprint":             part + strings.Replace(group, print, `"AA"`, 1),
		"an unknown severity":        part + group + strings.Replace(group, "high", "dreadful", 1),
		"a vulnerability of no name": part + group + strings.Replace(strings.Replace(group, `"CVE-1"`, `["x"]`, 1), "curl", "wget", 1),
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
				publish(t, s, "one", map[string]string{"zlib": "3"})
				before := known(t, s, "one")
				if _, err := open(t, forge(t, private, pack(t, text), nil), public).Import(t.Context(), s, match.Package, bundle.Options{}); err == nil {
					t.Fatal("it is imported")
				}
				if diff := cmp.Diff(before, known(t, s, "one")); diff != "" {
					t.Errorf("what is stored (-before +after):\n%s", diff)
				}
				if last, err := s.LastImport(context.Background()); err != nil || !last.IsZero() {
					t.Errorf("an import is noted: %s, %v", last, err)
				}
			})
		})
	}
}

func TestKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	key, made, err := bundle.SigningKey(file)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	again, made, err := bundle.SigningKey(file)
	if err != nil || made || !again.Equal(key) {
		t.Errorf("read again: made %t, %v", made, err)
	}
	public, err := bundle.PublicKey(file + ".pub")
	if err != nil || !public.Equal(key.Public()) {
		t.Errorf("public key: %v", err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key can be read by others: %v, %v", info.Mode(), err)
	}
	if _, err := bundle.PublicKey(file); err == nil {
		t.Error("a private key is taken for a public one")
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bundle.SigningKey(bad); err == nil || !strings.Contains(err.Error(), bad) {
		t.Errorf("a file that is no key: %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("manifest.json"))
	f.Add(make([]byte, 1024))
	f.Fuzz(func(t *testing.T, content []byte) {
		if _, err := bundle.Open(bytes.NewReader(content), int64(len(content)), public); err == nil {
			t.Error("an unsigned bundle is opened")
		}
	})
}
