package redhat_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/redhat"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestParseRepositories(t *testing.T) {
	const document = `{"version": 1, "data": {
		"rhel-9-for-aarch64-baseos-rpms": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos", "cpe:/o:redhat:enterprise_linux:9::BaseOS"], "repo_relative_urls": ["content/dist/rhel9/9/aarch64/baseos/os"]},
		"rhocp-4.16-for-rhel-9-x86_64-rpms": {"cpes": ["cpe:/a:redhat:openshift:4.16::el9", "nothing"]},
		"empty": {"cpes": []}, "other": {}, "odd": {"cpes": "cpe:/o:redhat:enterprise_linux:9"}, "list": [], "two words": {"cpes": ["cpe:/o:redhat:enterprise_linux:9"]}
	}}`
	got, skipped, err := redhat.ParseRepositories(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	want := redhat.Repositories{
		"rhel-9-for-aarch64-baseos-rpms":    {"cpe:/o:redhat:enterprise_linux:9::baseos"},
		"rhocp-4.16-for-rhel-9-x86_64-rpms": {"cpe:/a:redhat:openshift:4.16::el9"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if skipped.Count != 4 {
		t.Errorf("skipped %+v", skipped)
	}
	for _, test := range []struct{ name, document, want string }{
		{"empty", "", "unexpected EOF"},
		{"page", "<html>", "invalid character"},
		{"truncated", document[:len(document)/2], "unexpected EOF"},
		{"something else", `{"data": {}}`, "names no repositories"},
		{"no data", `{}`, "names no repositories"},
		{"a list", `{"data": []}`, "want an object"},
		{"more behind its end", document + "{}", "follows the document"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := redhat.ParseRepositories(strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestProductsOfMinorReleases(t *testing.T) {
	products := redhat.Repositories{
		"baseos-eus-rpms":               {"cpe:/o:redhat:rhel_eus:9.2::baseos", "cpe:/o:redhat:rhel_eus:9.4::baseos", "cpe:/o:redhat:rhel_eus:9.6::baseos"},
		"baseos-eus-rpms__9_DOT_6":      {"cpe:/o:redhat:rhel_e4s:9.6::baseos"},
		"baseos-aus-rpms":               {"cpe:/o:redhat:rhel_aus:8.2::baseos"},
		"virt-for-rhel-8-rpms":          {"cpe:/a:redhat:advanced_virtualization:8.2::el8", "cpe:/a:redhat:advanced_virtualization:8.4::el8"},
		"rhocp-4.14-for-rhel-9-rpms":    {"cpe:/a:redhat:openshift:4.14::el9"},
		"rhel-9-for-x86_64-baseos-rpms": {"cpe:/o:redhat:enterprise_linux:9::baseos"},
	}.Products()
	if len(products) != 8 {
		t.Errorf("%d products: %v", len(products), products)
	}
	for repositories, want := range map[string][2]string{
		"baseos-eus-rpms":                         {"cpe:/o:redhat:rhel_eus:9.2 cpe:/o:redhat:rhel_eus:9.4 cpe:/o:redhat:rhel_eus:9.6", "rhel:9"},
		"baseos-eus-rpms__9_DOT_4":                {"cpe:/o:redhat:rhel_eus:9.4", "rhel:9"},
		"baseos-eus-rpms__9_DOT_6":                {"cpe:/o:redhat:rhel_e4s:9.6", "rhel:9"},
		"baseos-aus-rpms__8_DOT_2":                {"cpe:/o:redhat:rhel_aus:8.2", "rhel:8"},
		"rhel-9-for-x86_64-baseos-rpms__9":        {"rhel:9", ""},
		"unknown-rpms__9_DOT_2 baseos-aus-rpms__": {"cpe:/o:redhat:rhel_aus:8.2", "rhel:8"},
		"unknown-rpms":                            {"", ""},
	} {
		e := products.Of(repositories)
		if diff := cmp.Diff(want, [2]string{strings.Join(e.Own, " "), strings.Join(e.Fallback, " ")}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repositories, diff)
		}
	}
}

func mapping(repositories int) string {
	var b strings.Builder
	for n := range repositories {
		fmt.Fprintf(&b, `, "repository-%d": {"cpes": ["cpe:/o:redhat:enterprise_linux:9::baseos"]}`, n)
	}
	return `{"data": {` + strings.TrimPrefix(b.String(), ", ") + `}}`
}

// full is a store that refuses products.
type full struct {
	*store.Store
	refuse error
	taken  []int
}

func (f *full) ReplaceProducts(ctx context.Context, products match.Products, decide match.Decide) (int, error) {
	f.taken = append(f.taken, len(products))
	if f.refuse != nil {
		return 0, f.refuse
	}
	return f.Store.ReplaceProducts(ctx, products, decide)
}

func TestRepositoryFeed(t *testing.T) {
	document, etag, asked := mapping(10), `"1"`, 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != "/security.access.redhat.com/data/metrics/repository-to-cpe.json" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("ETag", etag)
		fmt.Fprint(w, document)
	}))
	defer server.Close()
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: server.URL, TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer fetcher.Close()
	s := &full{Store: storetest.SQLite(t, store.Options{})}
	u := feed.New(s, fetcher, []feed.Feed{redhat.NewRepositories()}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
	run := func(step string, acceptLoss bool, want error, changed, stored int, taken ...int) {
		t.Helper()
		s.taken = nil
		results, err := u.Update(t.Context(), feed.Request{AcceptLoss: acceptLoss})
		if !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", step, err, want)
		}
		if diff := cmp.Diff(taken, s.taken); diff != "" {
			t.Errorf("%s: taken (-want +got):\n%s", step, diff)
		}
		if results[0].Changed != changed {
			t.Errorf("%s: %d changed, want %d", step, results[0].Changed, changed)
		}
		if known, err := s.AllProducts(t.Context()); err != nil || len(known) != stored {
			t.Errorf("%s: %d are stored, want %d, %v", step, len(known), stored, err)
		}
	}
	run("first", false, nil, 10, 10, 10)
	run("not modified", false, nil, 0, 10)
	etag = `"2"`
	run("another date, the same content", false, nil, 0, 10)
	document, etag = mapping(8), `"3"`
	s.refuse = errors.New("the disk is full")
	run("the disk is full", false, s.refuse, 0, 10, 8)
	s.refuse = nil
	run("what was not taken is offered again", false, nil, 2, 8, 8)
	document, etag = mapping(3), `"4"`
	run("most are gone", false, feed.ErrHeldBack, 0, 8)
	document, etag = `{"data": {"a": `, `"5"`
	if _, err := u.Update(t.Context(), feed.Request{}); err == nil {
		t.Error("half a mapping was taken")
	}
	run("the last good one stays", false, io.ErrUnexpectedEOF, 0, 8)
	document, etag = mapping(3), `"6"`
	run("confirmed", true, nil, 5, 3, 3)
	if asked != 9 {
		t.Errorf("asked %d times", asked)
	}
}

func FuzzParseRepositories(f *testing.F) {
	f.Add(mapping(2))
	f.Add(`{"data": {"": {"cpes": ["cpe:/o:redhat:enterprise_linux:9"]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		all, _, err := redhat.ParseRepositories(strings.NewReader(text))
		if err == nil && len(all) == 0 {
			t.Errorf("%q: nothing, but no error", text)
		}
		for id := range all {
			if own, _ := all.Ecosystems(id); len(own) == 0 {
				t.Errorf("%q has no ecosystem", id)
			}
		}
	})
}
