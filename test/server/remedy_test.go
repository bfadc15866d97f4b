package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/test/sample"
)

// TestRemedy builds an image on a base that has a newer tag, and asks what
// would clear its findings.
func TestRemedy(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		feeds := t.TempDir()
		if err := sample.WriteAlpineFeed(feeds, "v3.20", "main", sample.Fixes{
			"musl": {"1.2.5-r1": {"CVE-2024-0001"}, "1.2.5-r2": {"CVE-2024-0002"}}, "curl": {"8.9.0-r0": {"CVE-2024-0003"}},
		}); err != nil {
			t.Fatal(err)
		}
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", feeds, "--feeds", "alpine")
		updateFeeds(t, s)
		musl := func(version string) sample.AlpinePackage {
			return sample.AlpinePackage{Name: "musl", Version: version, Origin: "musl"}
		}
		base := func(version string) sample.Layer {
			l, err := sample.AlpineBase("3.20.3", musl(version))
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		own, err := sample.NewLayer("RUN apk add curl", sample.File{Path: "lib/apk/db/installed",
			Content: sample.Installed(musl("1.2.5-r0"), sample.AlpinePackage{Name: "curl", Version: "8.8.0-r0", Origin: "curl"})})
		if err != nil {
			t.Fatal(err)
		}
		push := func(repository, tag string, layers ...sample.Layer) string {
			digest, err := s.registry().Push(t.Context(), repository, tag, layers...)
			if err != nil {
				t.Fatal(err)
			}
			return digest
		}
		push("main/alpine", "3.20.1", base("1.2.5-r0"))
		push("main/alpine", "3.20.2", base("1.2.5-r1"))
		app := push("main/app", "1", base("1.2.5-r0"), own)

		type remedy struct {
			Left struct{ Unknown int } `json:"left_counts"`
			Base struct {
				Known string
				Layer int `json:"layer_count"`
				Newer []struct {
					Tag     string
					Cleared struct{ Unknown int } `json:"cleared_counts"`
				} `json:"newer_tags"`
			}
			Upgrades []struct {
				Name, To, In string
				Cleared      []string
			}
		}
		got := call[remedy](t, s, http.MethodGet, "/images/"+app+"/remedy", nil, http.StatusOK)
		want := []string{"base stored of 1 layers", "3.20.2 clears 1", "musl 1.2.5-r2 in base [CVE-2024-0001 CVE-2024-0002]", "curl 8.9.0-r0 in own [CVE-2024-0003]", "0 left"}
		lines := []string{fmt.Sprintf("base %s of %d layers", got.Base.Known, got.Base.Layer)}
		for _, tag := range got.Base.Newer {
			lines = append(lines, fmt.Sprintf("%s clears %d", tag.Tag, tag.Cleared.Unknown))
		}
		for _, u := range got.Upgrades {
			lines = append(lines, fmt.Sprintf("%s %s in %s %v", u.Name, u.To, u.In, u.Cleared))
		}
		lines = append(lines, fmt.Sprintf("%d left", got.Left.Unknown))
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("remedy (-want +got):\n%s", diff)
		}
	})
}
