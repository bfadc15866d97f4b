package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// stored puts an analysed image with two packages of OpenSSL into the store.
func (h *harbour) stored(t *testing.T) (digest string) {
	t.Helper()
	ctx, digest := t.Context(), "sha256:"+strings.Repeat("ab", 32)
	layer := "sha256:" + strings.Repeat("cd", 32)
	if err := h.store.SaveImage(ctx, image.Image{Digest: digest, MediaType: "m", Layers: []image.Layer{{Digest: layer, Size: 5, MediaType: "l", CreatedBy: "RUN apt-get install"}}}); err != nil {
		t.Fatal(err)
	}
	deb := func(name, version string, line int) inventory.Installed {
		return inventory.Installed{Path: "var/lib/dpkg/status", Detector: "dpkg", Line: line, LayerDigest: layer, Package: inventory.Package{
			Type: "deb", Distribution: "debian:12", Name: name, Version: version, Architecture: "amd64", SourceName: "openssl", SourceVersion: version,
		}}
	}
	id, err := h.store.SaveInventory(ctx, "key", inventory.Image{
		Distribution: inventory.Distribution{ID: "debian", Version: "12"}, Packages: []inventory.Installed{deb("libssl3", "3.0.11-1", 7), deb("openssl", "3.0.14-1", 20)},
	}, match.Package)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.SettleImage(ctx, digest, image.Done, "", id); err != nil {
		t.Fatal(err)
	}
	return digest
}

func (h *harbour) publish(t *testing.T, vulnerability, fixed string) {
	t.Helper()
	group := advisory.Group{Name: vulnerability, Advisories: []advisory.Advisory{{
		ID: "DSA-1", Vulnerability: vulnerability, Ecosystem: "debian:12", Package: "openssl", Source: true, Status: advisory.Affected, Fixed: fixed, Severity: advisory.High,
	}}, Details: map[string]advisory.Detail{vulnerability: {Aliases: []string{"GHSA-" + vulnerability}}}}
	if err := h.store.ReplaceAdvisories(t.Context(), "debian", "tracker", []feed.Entry{{Group: group}}, nil, match.Package); err != nil {
		t.Fatal(err)
	}
	if err := h.store.SaveFeedPart(t.Context(), "debian", feed.PartState{Part: "tracker", Ecosystems: []string{"debian:12"}, Checked: h.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	h.gate.Invalidate()
}

func TestExplain(t *testing.T) {
	h := newHarbour(t)
	digest := h.stored(t)
	explain := func(name string) (e api.ImageExplanation) {
		t.Helper()
		answer := h.send(t, http.MethodGet, "/images/"+digest+"/explain/"+name, nil, user)
		if answer.status != http.StatusOK {
			t.Fatalf("%s: %d %s", name, answer.status, answer.body)
		}
		if err := json.Unmarshal(answer.body, &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := explain("CVE-2024-1"); e.Verdict != "undetermined" || e.Reason != "no feed speaks of CVE-2024-1" {
		t.Errorf("unknown everywhere: got %+v", e)
	}
	h.publish(t, "CVE-2024-1", "3.0.12-1")
	for _, name := range []string{"CVE-2024-1", "GHSA-CVE-2024-1"} {
		e := explain(name)
		var lines []string
		for _, p := range e.Packages {
			lines = append(lines, fmt.Sprintf("%s %s %s:%d %q %s: %s by %s %s", p.Package.Name, p.Outcome, p.Path, p.Line, p.CreatedBy, p.Reason, p.Statements[0].Outcome, p.Statements[0].Feed, p.Statements[0].ID))
		}
		want := []string{
			`libssl3 affected var/lib/dpkg/status:7 "RUN apt-get install" 3.0.11-1 < 3.0.12-1 (deb): affected by debian DSA-1`,
			`openssl fixed var/lib/dpkg/status:20 "RUN apt-get install" 3.0.14-1 >= 3.0.12-1 (deb), the version with the fix: fixed by debian DSA-1`,
		}
		if diff := cmp.Diff(want, lines); diff != "" || e.Vulnerability != "CVE-2024-1" || e.Verdict != "affected" || e.Coverage.Verdict != "known" {
			t.Errorf("%s: got %+v, packages (-want +got):\n%s", name, e, diff)
		}
	}
	if answer := h.send(t, http.MethodGet, "/images/sha256:"+strings.Repeat("00", 32)+"/explain/CVE-2024-1", nil, user); answer.status != http.StatusNotFound {
		t.Errorf("an image that is not there: %d", answer.status)
	}
}

func TestFindingsOfADay(t *testing.T) {
	h := newHarbour(t)
	digest := h.stored(t)
	h.clock.Advance(24 * time.Hour)
	h.publish(t, "CVE-2024-1", "3.0.12-1")
	h.clock.Advance(24 * time.Hour)
	for when, want := range map[time.Duration]int{-time.Hour: 0, time.Hour: 0, 25 * time.Hour: 1} {
		answer := h.send(t, http.MethodGet, "/images/"+digest+"/findings?at="+noon.Add(when).Format(time.RFC3339), nil, user)
		var list struct{ Items []api.Finding }
		if err := json.Unmarshal(answer.body, &list); err != nil || answer.status != http.StatusOK || len(list.Items) != want {
			t.Errorf("%s: %d %s, %v; want %d", when, answer.status, answer.body, err, want)
		}
	}
}
