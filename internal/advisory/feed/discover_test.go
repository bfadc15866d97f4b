package feed_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/amazon"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestDiscoveredDocuments: what names the documents may move them, and may fail;
// then what is stored stays, and the other documents are brought up to date.
func TestDiscoveredDocuments(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	p := newPublishers(t)
	f := newFetcher(t, feed.FetcherOptions{Mirror: p.URL, Tries: 1, Timeout: 5 * time.Second})
	u := feed.New(s, f, []feed.Feed{amazon.New()}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
	updates := func(cve string) string {
		return `<updates><update type="security"><id>ALAS-1</id><severity>low</severity><references><reference id="` + cve + `"/></references>` +
			`<pkglist><collection><package name="a" version="1" release="2" arch="x86_64"/></collection></pkglist></update></updates>`
	}
	const index = `<repomd><data type="updateinfo"><location href="repodata/updateinfo.xml"/></data></repomd>`
	publish := func(list, guid, cve string) {
		p.publish("/cdn.amazonlinux.com/"+list+"/latest/x86_64/mirror.list", "", "https://cdn.amazonlinux.com/"+list+"/"+guid)
		p.publish("/cdn.amazonlinux.com/"+list+"/"+guid+"/repodata/repomd.xml", "", index)
		p.publish("/cdn.amazonlinux.com/"+list+"/"+guid+"/repodata/updateinfo.xml", `"`+cve+`"`, updates(cve))
	}
	const al2, al2023 = "2/core", "al2023/core/mirrors"
	steps := []struct {
		name        string
		prepare     func()
		two, twenty string // what is known of amzn:2 and amzn:2023
		outcome     feed.Outcome
		says        string
	}{
		{"first", func() { publish(al2, "1", "CVE-2020-1000"); publish(al2023, "1", "CVE-2020-2000") }, "CVE-2020-1000", "CVE-2020-2000", feed.Updated, ""},
		{"again", func() {}, "CVE-2020-1000", "CVE-2020-2000", feed.Unchanged, ""},
		{"moved", func() { publish(al2, "2", "CVE-2020-1000") }, "CVE-2020-1000", "CVE-2020-2000", feed.Unchanged, ""},
		{"moved and changed", func() { publish(al2, "3", "CVE-2020-1001") }, "CVE-2020-1001", "CVE-2020-2000", feed.Updated, ""},
		{"list broken", func() {
			p.publish("/cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list", "", "no list")
			publish(al2023, "2", "CVE-2020-2001")
		}, "CVE-2020-1001", "CVE-2020-2001", "", `looking for documents: 2: `},
		{"list gone", func() {
			p.serve("/cdn.amazonlinux.com/2/core/latest/x86_64/mirror.list", http.NotFound)
		}, "CVE-2020-1001", "CVE-2020-2001", feed.Absent, ""},
		{"list back", func() { publish(al2, "4", "CVE-2020-1002") }, "CVE-2020-1002", "CVE-2020-2001", feed.Updated, ""},
	}
	for _, step := range steps {
		step.prepare()
		results, err := u.Update(t.Context(), feed.Request{})
		if (err != nil) != (step.says != "") || err != nil && !strings.Contains(err.Error(), step.says) {
			t.Errorf("%s: error %v, want %q", step.name, err, step.says)
		}
		var outcome feed.Outcome
		for _, part := range results[0].Parts {
			if part.Part == "2" {
				outcome = part.Outcome
			}
		}
		if outcome != step.outcome {
			t.Errorf("%s: %q, want %q", step.name, outcome, step.outcome)
		}
		if two, twenty := known(t, s, "amzn:2"), known(t, s, "amzn:2023"); two != step.two || twenty != step.twenty {
			t.Errorf("%s: amzn:2 has %q, want %q; amzn:2023 has %q, want %q", step.name, two, step.two, twenty, step.twenty)
		}
		status, err := u.Status(t.Context())
		if err != nil || !strings.Contains(status[0].Error, step.says) || (status[0].Error == "") != (step.says == "") {
			t.Errorf("%s: status %+v, %v", step.name, status, err)
		}
	}
}
