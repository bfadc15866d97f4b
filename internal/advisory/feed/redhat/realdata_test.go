package redhat_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/redhat"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/version"
)

// realFeeds is the folder of published documents, a mirror of their servers.
func realFeeds(t testing.TB) string {
	t.Helper()
	return filepath.Dir(realdata.Path(t, "feeds", "security.access.redhat.com"))
}

// realDocuments are the published documents by name.
func realDocuments(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(realFeeds(t), filepath.FromSlash(root), "*", "*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("no published documents: %v", err)
	}
	documents := make(map[string][]byte)
	for _, file := range files {
		if documents[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return documents
}

// judged is an advisory without what does not decide a finding.
type judged struct {
	ecosystem, name, module, status, fixed, fix, severity, id, note string
	source                                                          bool
}

// oracle judges a document by hand: slowly, with generic JSON and patterns, and
// in another order than the parser.
func oracle(t *testing.T, text []byte) map[judged]bool {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	helpers := map[string]string{} // the CPE or the package URL by id
	known := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			if id, ok := v["product_id"].(string); ok {
				known[id] = true
				helper, _ := v["product_identification_helper"].(map[string]any)
				for _, value := range helper {
					helpers[id] = value.(string)
				}
			}
			for _, e := range v {
				walk(e)
			}
		}
	}
	tree := doc["product_tree"].(map[string]any)
	walk(tree["branches"])
	component, platform := map[string]string{}, map[string]string{}
	for _, r := range tree["relationships"].([]any) {
		r := r.(map[string]any)
		id := r["full_product_name"].(map[string]any)["product_id"].(string)
		component[id], platform[id] = r["product_reference"].(string), r["relates_to_product_reference"].(string)
	}
	grades := map[string]string{"low": "low", "moderate": "medium", "important": "high", "critical": "critical"}
	v := doc["vulnerabilities"].([]any)[0].(map[string]any)
	has := func(entry map[string]any, id string) bool {
		list, _ := entry["product_ids"].([]any)
		return slices.Contains(list, any(id))
	}
	entries := func(name string) (list []map[string]any) {
		all, _ := v[name].([]any)
		for _, e := range all {
			list = append(list, e.(map[string]any))
		}
		return list
	}
	mainstream := regexp.MustCompile(`^cpe:/[ao]:redhat:enterprise_linux:(\d+)`)
	stream := regexp.MustCompile(`^cpe:/[ao]:redhat:((?:rhel|enterprise_linux)_(?:eus|aus|tus|e4s|els)(?:_long_life)?:[0-9.]+)`)
	type subject struct {
		ecosystem, name, module string
		source                  bool
	}
	said := map[subject]map[string][]judged{} // by status
	builds := map[string]bool{}               // what binary packages were fixed in
	statuses := v["product_status"].(map[string]any)
	for status, list := range statuses {
		for _, id := range list.([]any) {
			id := id.(string)
			purl, cpe := helpers[component[id]], helpers[platform[id]]
			if component[id] == "" || !strings.HasPrefix(purl, "pkg:rpm/redhat/") && purl != "" {
				continue
			}
			var s subject
			s.ecosystem = cpe
			if m := mainstream.FindStringSubmatch(cpe); m != nil {
				s.ecosystem = "rhel:" + m[1]
			} else if m := stream.FindStringSubmatch(cpe); m != nil {
				s.ecosystem = "cpe:/o:redhat:" + m[1]
			} else if purl == "" {
				continue
			}
			version := ""
			if purl == "" {
				s.name, s.source = component[id], true
			} else {
				head, query, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:rpm/redhat/"), "?")
				values, err := url.ParseQuery(strings.ReplaceAll(query, ";", "%3B"))
				if err != nil {
					t.Fatal(err)
				}
				s.name, version, _ = strings.Cut(head, "@")
				for _, text := range []*string{&s.name, &version} {
					if *text, err = url.PathUnescape(*text); err != nil {
						t.Fatal(err)
					}
				}
				if epoch := values.Get("epoch"); version != "" && epoch != "" && epoch != "0" {
					version = epoch + ":" + version
				}
				s.source = values.Get("arch") == "src"
				if fields := strings.Split(values.Get("rpmmod"), ":"); len(fields) > 1 {
					s.module = fields[0] + ":" + fields[1]
				}
			}
			if strings.HasSuffix(s.name, "-debuginfo") || strings.HasSuffix(s.name, "-debugsource") || status == "known_not_affected" && version != "" {
				continue
			}
			j := judged{ecosystem: s.ecosystem, name: s.name, module: s.module, source: s.source, severity: "unknown"}
			severity := grades[strings.ToLower(doc["document"].(map[string]any)["aggregate_severity"].(map[string]any)["text"].(string))]
			for _, threat := range entries("threats") {
				if threat["category"] == "impact" && has(threat, id) {
					severity = grades[strings.ToLower(threat["details"].(string))]
				}
			}
			switch status {
			case "fixed":
				j.status, j.fixed, j.severity = "affected", version, severity
				if !s.source {
					builds[s.ecosystem+" "+s.module+" "+version[strings.IndexByte(version, ':')+1:]] = true
				}
				for _, r := range entries("remediations") {
					if r["category"] == "vendor_fix" && has(r, id) {
						j.id = filepath.Base(r["url"].(string))
					}
				}
			case "known_affected":
				j.status, j.severity = "affected", severity
				for _, r := range entries("remediations") {
					if r["category"] != "workaround" && has(r, id) {
						j.note = r["details"].(string)
						j.fix = map[string]string{"Will not fix": "will_not_fix", "Out of support scope": "end_of_life", "Fix deferred": "deferred"}[j.note]
					}
				}
			case "known_not_affected":
				j.status = "not_affected"
				for _, f := range entries("flags") {
					if has(f, id) {
						j.note = f["label"].(string)
					}
				}
			default:
				t.Fatalf("status %s", status)
			}
			if said[s] == nil {
				said[s] = map[string][]judged{}
			}
			said[s][status] = append(said[s][status], j)
		}
	}
	modular := regexp.MustCompile(`^(.*\.module\+el[0-9.]+)\+(\d+)\+`)
	want := map[judged]bool{}
	for s, by := range said {
		if len(by["fixed"]) == 0 {
			for _, status := range []string{"known_affected", "under_investigation", "known_not_affected"} {
				for _, j := range by[status] {
					want[j] = true
				}
				if len(by[status]) > 0 {
					break
				}
			}
			continue
		}
		versions, lowest := map[string]map[string]bool{}, map[string]int{}
		for _, j := range by["fixed"] {
			if m := modular.FindStringSubmatch(j.fixed); m != nil {
				n, err := strconv.Atoi(m[2])
				if err != nil {
					t.Fatal(err)
				}
				stem := m[1] + " " + j.id
				if versions[stem] == nil {
					versions[stem], lowest[stem] = map[string]bool{}, n
				}
				versions[stem][j.fixed] = true
				lowest[stem] = min(lowest[stem], n)
			}
		}
		for _, j := range by["fixed"] {
			if s.source && builds[s.ecosystem+" "+s.module+" "+j.fixed[strings.IndexByte(j.fixed, ':')+1:]] {
				continue
			}
			if m := modular.FindStringSubmatch(j.fixed); m != nil && len(versions[m[1]+" "+j.id]) > 1 {
				j.fixed = fmt.Sprintf("%s+%d", m[1], lowest[m[1]+" "+j.id])
			}
			want[j] = true
		}
	}
	return want
}

// TestRealDocuments compares every document with the oracle.
func TestRealDocuments(t *testing.T) {
	total := 0
	for name, text := range realDocuments(t) {
		groups, parsed, err := parse(strings.NewReader(string(text)))
		if err != nil || len(groups) != 1 {
			t.Errorf("%s: %d groups, %v", name, len(groups), err)
			continue
		}
		if parsed.Skipped.Count > 0 {
			t.Errorf("%s: skipped %+v", name, parsed.Skipped)
		}
		if cve := strings.ToUpper(strings.TrimSuffix(name, ".json")); groups[0].Name != cve {
			t.Errorf("%s is %s", name, groups[0].Name)
		}
		if d := groups[0].Details[groups[0].Name]; d.Description == "" || len(d.Scores) == 0 || d.Published.IsZero() || d.Modified.IsZero() || d.Severity == advisory.Unknown {
			t.Errorf("%s: %+v", name, d)
		}
		want := oracle(t, text)
		got := make(map[judged]bool)
		for _, a := range groups[0].Advisories {
			j := judged{a.Ecosystem, a.Package, a.Module, string(a.Status), a.Fixed, string(a.Fix), a.Severity.String(), a.ID, a.Note, a.Source}
			if got[j] {
				t.Errorf("%s: twice %+v", name, j)
			}
			got[j] = true
			if !want[j] {
				t.Errorf("%s: too much: %+v", name, j)
			}
		}
		for j := range want {
			if !got[j] {
				t.Errorf("%s: missing: %+v", name, j)
			}
		}
		total += len(got)
	}
	t.Logf("%d statements", total)
}

// TestRealCrawl loads the archive and what changed since, twice, on both engines.
func TestRealCrawl(t *testing.T) {
	folder := realFeeds(t)
	documents := realDocuments(t)
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		c := newCrawling(t, s, folder)
		result, err := c.run()
		if err != nil || result.Outcome != feed.Updated || result.Packages != len(documents) || result.Skipped.Count != 0 {
			t.Fatalf("%+v, %v", result, err)
		}
		statements := 0
		for _, text := range documents {
			groups, _, err := parse(strings.NewReader(string(text)))
			if err != nil {
				t.Fatal(err)
			}
			statements += len(groups[0].Advisories)
		}
		if result.Advisories != statements {
			t.Errorf("%d statements are stored, %d were read", result.Advisories, statements)
		}
		if got := c.state(); !slices.Equal(got.Ecosystems, []string{"rhel:10", "rhel:6", "rhel:7", "rhel:8", "rhel:9"}) {
			t.Errorf("state %+v", got)
		}
		result, err = c.run()
		if err != nil || result.Outcome != feed.Unchanged || result.Changed != 0 {
			t.Errorf("the second time: %+v, %v", result, err)
		}
	})
}

// TestRealStreams judges packages of extended streams by all documents: at the very
// version in which the stream has the fix, and before it. What the mainstream says
// is another thing, often enough.
func TestRealStreams(t *testing.T) {
	fixes := make(map[[2]string]map[string]string) // ecosystem and CVE, to package, to the latest fix
	s := storetest.SQLite(t, store.Options{})
	for name, text := range realDocuments(t) {
		groups, _, err := parse(strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		var entries []feed.Entry
		for _, g := range groups {
			g.Part = "vex"
			entries = append(entries, feed.Entry{Group: g})
			for _, a := range g.Advisories {
				if a.Fixed == "" || a.Source || a.Module != "" || !strings.HasPrefix(a.Ecosystem, "cpe:/o:redhat:rhel_") {
					continue
				}
				key := [2]string{a.Ecosystem, a.Vulnerability}
				if fixes[key] == nil {
					fixes[key] = make(map[string]string)
				}
				if c, err := version.Compare(version.RPM, a.Fixed, fixes[key][a.Package]); fixes[key][a.Package] == "" || err == nil && c > 0 {
					fixes[key][a.Package] = a.Fixed
				}
			}
		}
		if err := s.ReplaceAdvisories(t.Context(), "redhat", name, entries, nil, match.Package); err != nil {
			t.Fatal(err)
		}
	}
	mapping := make(redhat.Repositories)
	for key := range fixes {
		mapping["repository-of-"+key[0]] = []string{key[0] + "::baseos"}
	}
	if _, err := s.ReplaceProducts(t.Context(), mapping.Products(), match.Package); err != nil {
		t.Fatal(err)
	}
	cases, otherwise := 0, 0
	for key, packages := range fixes {
		release := "rhel:" + regexp.MustCompile(`:([0-9]+)\b[^:]*$`).FindStringSubmatch(key[0])[1]
		for name, fixed := range packages {
			for at, want := range map[string]bool{fixed: false, "0-1": true} {
				p := inventory.Package{Type: "rpm", Distribution: release, Name: name, Version: at, Architecture: "x86_64", Repositories: "repository-of-" + key[0]}
				found := func(p inventory.Package) bool {
					id, err := s.SaveInventory(t.Context(), fmt.Sprint(p), inventory.Image{Packages: []inventory.Installed{{Package: p, Path: "p", Detector: "rpm"}}}, match.Package)
					if err != nil {
						t.Fatal(err)
					}
					findings, err := s.InventoryFindings(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					return slices.ContainsFunc(findings, func(f match.Finding) bool { return f.Vulnerability == key[1] })
				}
				if cases++; found(p) != want {
					t.Errorf("%s %s of %s: %s is found: %v", name, at, key[0], key[1], !want)
				}
				if p.Repositories = ""; found(p) != want {
					otherwise++
				}
			}
		}
	}
	t.Logf("%d packages, of which the mainstream's statements would have misjudged %d", cases, otherwise)
	if cases == 0 || otherwise == 0 {
		t.Error("that shows nothing")
	}
}

// BenchmarkParse reads all published documents.
func BenchmarkParse(b *testing.B) {
	documents := realDocuments(b)
	size, statements := 0, 0
	for _, text := range documents {
		size += len(text)
	}
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, text := range documents {
			groups, _, err := parse(strings.NewReader(string(text)))
			if err != nil {
				b.Fatal(err)
			}
			statements += len(groups[0].Advisories)
		}
	}
	b.ReportMetric(float64(statements)/b.Elapsed().Seconds(), "statements/s")
}
