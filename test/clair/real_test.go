package clair_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/clair/realclair"
	"github.com/pratique/pratique/test/sample"
)

// realData is the folder of real images and feeds.
func realData(t *testing.T) string {
	t.Helper()
	data := os.Getenv("PRATIQUE_REAL_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "..", "shared")
	}
	data, err := filepath.Abs(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(data, "feeds")); err != nil {
		t.Skipf("real data is absent: %v", err)
	}
	return data
}

// program is a program to compare with; the test is skipped where it is absent.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := realclair.Find(name)
	if errors.Is(err, realclair.ErrAbsent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAgainstRealClair has the same layers indexed by Clair 4.9 and by us, on the
// same Alpine, Go and crates.io data: packages and findings are to be equal, and
// reports to have the same members, but for what docs/differences-from-clair.md
// explains.
func TestAgainstRealClair(t *testing.T) {
	program, data := tool(t, "clair"), realData(t)
	releases := map[string]string{"v3.7": "3.7.3", "v3.10": "3.10.3", "v3.12": "3.12.12", "v3.14": "3.14.10", "v3.18": "3.18.9", "v3.20": "3.20.3"}
	inGo := goProgram(t)
	mirror := smallMirror(t, filepath.Join(data, "feeds"), slices.Collect(maps.Keys(releases)), modulesOf(t, inGo))
	images := map[string][]sample.Layer{"every package of 3.10": everyPackage(t, mirror)}
	updaters := []string{"osv/go", "alpine-community-v3.10-updater"}
	upper := goLayer(t, inGo)
	for branch, release := range releases {
		updaters = append(updaters, "alpine-main-"+branch+"-updater")
		content, err := os.ReadFile(filepath.Join(data, "images", "alpine-minirootfs-"+release+"-x86_64.tar.gz"))
		if err != nil {
			t.Skipf("real data is absent: %v", err)
		}
		images[release] = []sample.Layer{{Content: content}, upper}
	}
	blobs := clairtest.NewBlobs(t)
	start := realclair.Options{Program: program, Feeds: mirror, Ecosystems: []string{"Go", "crates.io"}}
	var theirs map[string]answerV4
	answered := func() (err error) {
		// Its database goes with the subtest: a second Clair finds no extension where the first made it.
		t.Run("Clair", func(t *testing.T) { theirs, err = answersOfClair(t, start, updaters, blobs, images) })
		return err
	}
	err := answered()
	if errors.Is(err, context.DeadlineExceeded) {
		// It has once not answered for half an hour. What it says is looked at, not whether.
		t.Logf("Clair is started anew: %v", err)
		err = answered()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := clairtest.Start(t, clairtest.Options{})
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror})
	if err != nil {
		t.Fatal(err)
	}
	defer fetcher.Close()
	feeds := []feed.Feed{alpine.New()}
	for _, f := range osv.Feeds() {
		if f.Name() == "go" || f.Name() == "crates-io" {
			feeds = append(feeds, f)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	updater := feed.New(server.Store, fetcher, feeds, match.Package, feed.Options{})
	if _, err := updater.Update(ctx, feed.Request{}); err != nil {
		t.Fatal(err)
	}
	for name, layers := range images {
		t.Run(name, func(t *testing.T) {
			ours, err := ask(t.Context(), server.URL, blobs, layers)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, theirs[name], ours)
		})
	}
}

// answersOfClair runs Clair and returns what it says of images once these updaters
// have brought data.
func answersOfClair(t *testing.T, o realclair.Options, updaters []string, blobs *clairtest.Blobs, images map[string][]sample.Layer) (map[string]answerV4, error) {
	t.Helper()
	o.Database, o.Dir = storetest.PostgresURL(t), t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	real, err := realclair.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer real.Stop()
	if err := real.AwaitUpdates(ctx, updaters...); err != nil {
		return nil, err
	}
	answers := make(map[string]answerV4)
	for name, layers := range images {
		if answers[name], err = ask(ctx, real.URL, blobs, layers); err != nil {
			return nil, fmt.Errorf("clair: %s: %w; it says:\n%s", name, err, real.Dump())
		}
	}
	return answers, nil
}

// everyPackage is an image of Alpine 3.10 with every package that its advisories
// speak of, in a version that nothing is fixed in.
func everyPackage(t *testing.T, feeds string) []sample.Layer {
	t.Helper()
	var packages []sample.AlpinePackage
	for _, repository := range []string{"main", "community"} {
		content, err := os.ReadFile(filepath.Join(feeds, "secdb.alpinelinux.org", "v3.10", repository+".json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range read[struct {
			Packages []struct{ Pkg struct{ Name string } }
		}](t, content).Packages {
			packages = append(packages, sample.AlpinePackage{Name: p.Pkg.Name, Version: "0.0.1-r0", Origin: p.Pkg.Name})
		}
	}
	must := clairtest.Must(t)
	// Clair does not read the last line of an entry, which the origin would be on.
	installed := strings.ReplaceAll(sample.Installed(packages...), "\n\n", "\nt:1\n\n")
	return []sample.Layer{must(sample.AlpineBase("3.10.3")), must(sample.NewLayer("RUN apk add", sample.File{Path: "lib/apk/db/installed", Content: installed}))}
}

// goProgram is a Go program: reg, whose modules are of 2019 and known to be
// vulnerable, where it is there, else this test.
func goProgram(t *testing.T) string {
	t.Helper()
	path, err := realclair.Find("reg")
	if err != nil {
		if path, err = os.Executable(); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// goLayer is a layer with a program.
func goLayer(t *testing.T, program string) sample.Layer {
	t.Helper()
	content, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	l, err := sample.NewLayer("COPY app /app", sample.File{Path: "usr/bin/app", Content: string(content)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// answerV4 is what is compared of a report.
type answerV4 struct {
	raw          []byte
	Packages     map[string]struct{ Name, Version, Kind string }
	Environments map[string][]struct {
		PackageDB    string `json:"package_db"`
		IntroducedIn string `json:"introduced_in"`
	}
	Distributions   map[string]map[string]string
	Vulnerabilities map[string]struct {
		Name, Updater, Links string
		Fixed                string `json:"fixed_in_version"`
	}
	Affecting map[string][]string `json:"package_vulnerabilities"`
}

// ask has layers indexed and returns the report. It waits two minutes for each answer.
func ask(ctx context.Context, base string, blobs *clairtest.Blobs, layers []sample.Layer) (a answerV4, err error) {
	var list []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"hash":%q,"uri":%q,"headers":{}}`, l.Digest(), blobs.Add(l)))
	}
	hash := sample.Layer{Content: []byte(strings.Join(list, ","))}.Digest()
	var indexed struct {
		Success bool
		Err     string
	}
	content, err := answer(ctx, http.MethodPost, base+"/indexer/api/v1/index_report", fmt.Sprintf(`{"hash":%q,"layers":[%s]}`, hash, strings.Join(list, ",")), http.StatusCreated)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(content, &indexed); err != nil {
		return a, err
	}
	if !indexed.Success {
		return a, fmt.Errorf("index: %s", indexed.Err)
	}
	if a.raw, err = answer(ctx, http.MethodGet, base+"/matcher/api/v1/vulnerability_report/"+hash, "", http.StatusOK); err != nil {
		return a, err
	}
	err = json.Unmarshal(a.raw, &a)
	return a, err
}

func answer(ctx context.Context, method, url, body string, want int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s: %.1000s", method, url, response.Status, content)
	}
	return content, nil
}

var ofOSV = regexp.MustCompile(`\b(GO-\d{4}-\d+|RUSTSEC-\d{4}-\d+)\b`)

// pseudoVersion is Go's version of a commit (https://go.dev/ref/mod#pseudo-versions).
var pseudoVersion = regexp.MustCompile(`\d{14}-[0-9a-f]{12}$`)

// packages lists them, with where they are and what affects them. Left out is what
// docs/differences-from-clair.md explains.
func (a answerV4) packages() (packages, findings []string) {
	for id, p := range a.Packages {
		for _, e := range a.Environments[id] {
			packages = append(packages, fmt.Sprintf("%s %s %s in %s of %.19s", p.Kind, p.Name, p.Version, e.PackageDB, e.IntroducedIn))
		}
	}
	for id, list := range a.Affecting {
		for _, v := range list {
			f := a.Vulnerabilities[v]
			fixed, name := f.Fixed, f.Name
			// Clair names what OSV states by OSV's id; here it goes by its CVE id, and OSV's is in the links.
			if id := ofOSV.FindString(f.Links); id != "" {
				name = id
			}
			if values, err := url.ParseQuery(fixed); err == nil && strings.Contains(fixed, "=") {
				fixed = values.Get("fixed")
			}
			if pseudoVersion.MatchString(a.Packages[id].Version) && pseudoVersion.MatchString(fixed) {
				continue // Clair compares three numbers, which are the same
			}
			names := []string{name}
			if strings.HasPrefix(f.Updater, "alpine-") {
				names, fixed = ofAlpine(name), strings.ReplaceAll(fixed, ".-r", "-r") // of phpmyadmin, "4.8.0.-r1"
			}
			for _, name := range names {
				findings = append(findings, fmt.Sprintf("%s %s: %s (%s)", a.Packages[id].Name, a.Packages[id].Version, name, fixed))
			}
		}
	}
	slices.Sort(packages)
	slices.Sort(findings)
	return slices.Compact(packages), slices.Compact(findings)
}

var cveID, otherID = regexp.MustCompile(`(?i)\bCVE[-_](\d{4}-\d+)`), regexp.MustCompile(`\b[A-Z]+-\d+\b`)

// ofAlpine lists what an entry of Alpine's database names. Clair takes the entry as
// it stands: "CVE-2017-12122 TALOS-2017-0488", "cve-2019-11474", "CVE-2017-17434-1".
func ofAlpine(entry string) (names []string) {
	for _, found := range cveID.FindAllStringSubmatch(entry, -1) {
		names = append(names, "CVE-"+found[1])
	}
	for _, other := range otherID.FindAllString(entry, -1) {
		if names == nil && !strings.HasPrefix(other, "CVE-") { // "CVE-2020-????? XSA-312"
			return []string{other}
		}
	}
	if names == nil {
		return []string{entry}
	}
	return names
}

func compare(t *testing.T, want, got answerV4) {
	t.Helper()
	wantPackages, wantFindings := want.packages()
	gotPackages, gotFindings := got.packages()
	if diff := cmp.Diff(wantPackages, gotPackages); diff != "" {
		t.Errorf("packages (-Clair +ours):\n%s", diff)
	}
	if diff := cmp.Diff(wantFindings, gotFindings); diff != "" {
		t.Errorf("findings (-Clair +ours):\n%s", diff)
	}
	for _, d := range want.Distributions {
		for _, o := range got.Distributions {
			delete(d, "id")
			delete(o, "id")
			if diff := cmp.Diff(d, o); diff != "" {
				t.Errorf("distribution (-Clair +ours):\n%s", diff)
			}
		}
	}
	t.Logf("%d packages, %d findings", len(gotPackages), len(gotFindings))
	if diff := cmp.Diff(shape(t, want.raw), shape(t, got.raw)); diff != "" {
		t.Errorf("members (-Clair +ours):\n%s", diff)
	}
}

// shape lists the members of a report with the kinds of their values, "*" for
// those that are named by an id. Left out are enrichments, which Clair has from
// NVD alone, and what differs on purpose.
func shape(t *testing.T, content []byte) []string {
	t.Helper()
	byID := []string{".packages", ".distributions", ".repository", ".environments", ".vulnerabilities", ".package_vulnerabilities"}
	different := []string{
		".enrichments", ".vulnerabilities.*.range",
		".environments.*.repository_ids", // null, where ours are empty
	}
	found := make(map[string]bool)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, value := range v {
				if slices.Contains(byID, path) {
					name = "*"
				}
				if below := path + "." + name; !slices.Contains(different, below) {
					walk(below, value)
				}
			}
		case []any:
			for _, value := range v {
				walk(path, value)
			}
		default:
			found[fmt.Sprintf("%s %T", path, v)] = true
		}
	}
	walk("", read[any](t, content))
	return slices.Sorted(maps.Keys(found))
}
