package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func digest(c string) string { return "sha256:" + strings.Repeat(c, 64) }

// scan is of an image of two layers with a bit of everything.
func scan() report.Scan {
	pkg := func(name, version, source string) inventory.Package {
		return inventory.Package{Type: "deb", Distribution: "debian:12", Name: name, Version: version, Architecture: "amd64", SourceName: source, SourceVersion: version}
	}
	finding := func(id string, severity advisory.Severity, p inventory.Package, fixed string, layer, line int) match.Finding {
		return match.Finding{
			Vulnerability: id, Severity: severity, Description: "A flaw in " + p.SourceName + ".", Package: p, Fixed: fixed,
			LayerIndex: layer, LayerDigest: digest([]string{"a", "b"}[layer]), FirstSeen: now.Add(-time.Hour), Sources: []string{"built-in"},
			Evidence: match.Evidence{Path: "var/lib/dpkg/status", Line: line, Detector: "dpkg", Feed: "debian", Part: "tracker", Subject: p.SourceName,
				Comparison: match.Comparison(p, advisory.Advisory{Fixed: fixed})},
		}
	}
	ssl, openssl, curl := pkg("libssl3", "3.0.11-1", "openssl"), pkg("openssl", "3.0.11-1", "openssl"), pkg("curl", "7.88.1-10", "curl")
	mounts := []string{"bsdutils", "libblkid1", "libmount1", "mount", "util-linux"}
	s := report.Scan{
		Name: "registry.example/app:1",
		Image: image.Image{
			Digest: digest("c"), ConfigDigest: digest("d"), MediaType: "application/vnd.oci.image.manifest.v1+json",
			OS: "linux", Architecture: "arm64", Variant: "v8", State: image.Done, Distribution: "debian:12", DistributionName: "Debian GNU/Linux 12 (bookworm)",
			Layers: []image.Layer{
				{Digest: digest("a"), Size: 29_000_000, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", CreatedBy: "/bin/sh -c #(nop) ADD file:abc in / "},
				{Digest: digest("b"), Size: 1_200_000, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", CreatedBy: "RUN /bin/sh -c apt-get  install\tcurl # buildkit"},
			},
			Warnings: []inventory.Warning{{Code: "malformed", Path: "app/x.jar", Message: "the archive is no zip file", Layer: digest("b")}},
		},
		Coverage:    image.Coverage{Verdict: image.Partial, Reasons: []string{"app/x.jar: the archive is no zip file"}},
		DataUpdated: now.Add(-3 * time.Hour),
	}
	for i, p := range []inventory.Package{curl, ssl, openssl} {
		s.Installed = append(s.Installed, inventory.Installed{Package: p, LayerIndex: i % 2, LayerDigest: digest("a"), Path: "var/lib/dpkg/status", Detector: "dpkg", Line: 10 * (i + 1)})
	}
	s.Findings = []match.Finding{
		finding("CVE-2024-0001", advisory.Critical, ssl, "3.0.14-1", 0, 20),
		finding("CVE-2024-0001", advisory.Critical, openssl, "3.0.14-1", 0, 30),
		finding("CVE-2023-46218", advisory.Medium, curl, "7.88.1-10+deb12u5", 1, 10),
	}
	for _, name := range mounts {
		s.Findings = append(s.Findings, finding("CVE-2022-0563", advisory.Negligible, pkg(name, "2.38.1-5", "util-linux"), "", 0, 0))
	}
	s.Findings = append(s.Findings, finding("CVE-2026-1\x1b[31m", advisory.Unknown, pkg("evil", "1:1\x1b]0;title\x07", "evil"), "", 1, 40))
	for _, f := range s.Findings {
		s.Installed = append(s.Installed, inventory.Installed{Package: f.Package, LayerIndex: f.LayerIndex, LayerDigest: f.LayerDigest, Path: f.Evidence.Path, Detector: "dpkg", Line: f.Evidence.Line})
		state := assess.State{Name: assess.Unassessed}
		switch f.Vulnerability {
		case "CVE-2023-46218":
			state = assess.State{Name: "Ignore", AssessmentID: 7}
		case "CVE-2024-0001":
			state = assess.State{Name: "Block", AssessmentID: 8, Blocks: true}
			s.Judgement.Verdict.Blocked = true
			s.Judgement.Verdict.Reasons = append(s.Judgement.Verdict.Reasons, policy.Reason{Kind: policy.AboutFinding,
				Message: f.Vulnerability + " in " + f.Package.Name, Finding: &assess.Reason{Vulnerability: f.Vulnerability, Severity: f.Severity,
					Package: f.Package.Name, Version: f.Package.Version, State: "Block", AssessmentID: 8}})
		}
		s.Judgement.States = append(s.Judgement.States, state)
	}
	s.Judgement.Place = assess.Place{Registry: "main", Digest: digest("c")}
	s.Installed = s.Installed[:3]
	for _, name := range mounts[:1] {
		s.Installed = append(s.Installed, inventory.Installed{Package: pkg(name, "2.38.1-5", "util-linux"), LayerDigest: digest("a"), Path: "var/lib/dpkg/status", Detector: "dpkg"})
	}
	return s
}

func feeds() []feed.Status {
	return []feed.Status{
		{Name: "debian", LastSuccess: now.Add(-3 * time.Hour), Parts: []feed.PartState{{Packages: 10, Advisories: 20}}},
		{Name: "alpine", Error: "not reachable"},
		{Name: "suse", LastSuccess: now.Add(-30 * time.Hour)},
		{Name: "kev", LastSuccess: now.Add(-30 * time.Hour), Error: "not reachable"},
	}
}

// reports are the cases of the golden files.
func reports() map[string]report.Report {
	all := make(map[string]report.Report)
	make := func(name string, images ...report.Scan) {
		r := report.New("registry.example/app:1", "1.2.3", now, feeds(), 6*time.Hour)
		for _, s := range images {
			r.Add(s)
		}
		all[name] = r
	}
	make("full", scan())
	clean := scan()
	clean.Findings, clean.Judgement.States, clean.Judgement.Verdict, clean.Image.Warnings = nil, nil, policy.Verdict{}, nil
	clean.Coverage, clean.Image.Layers = image.Coverage{Verdict: image.Known}, clean.Image.Layers[:1]
	make("clean", clean)
	unknown := clean
	unknown.Name, unknown.Image.Digest, unknown.Image.OS, unknown.Image.Architecture, unknown.Image.Variant = "/srv/root", "", "", "", ""
	unknown.Image.Distribution, unknown.Image.DistributionName, unknown.DataUpdated = "", "", time.Time{}
	unknown.Judgement = policy.Judgement{}
	unknown.Image.State, unknown.Image.Error = image.Failed, "layer x: corrupt"
	unknown.Coverage = image.Coverage{Verdict: image.Unjudged}
	for i := range 12 {
		unknown.Coverage.Reasons = append(unknown.Coverage.Reasons, fmt.Sprintf("reason %d", i))
	}
	make("several", clean, unknown)
	return all
}

func TestGolden(t *testing.T) {
	forms := map[string]func(io.Writer, report.Report) error{
		"json": report.JSON, "sarif": report.SARIF,
		"txt": func(w io.Writer, r report.Report) error {
			return report.Table(w, r, report.TableOptions{NoAdvisories: "Fetch them."})
		},
	}
	for name, r := range reports() {
		for extension, write := range forms {
			var out bytes.Buffer
			if err := write(&out, r); err != nil {
				t.Fatal(err)
			}
			golden(t, name+"."+extension, out.Bytes())
		}
	}
	var out bytes.Buffer
	if err := report.CycloneDX(&out, reports()["full"]); err != nil {
		t.Fatal(err)
	}
	golden(t, "full.cdx.json", out.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// A terminal gets text from a table, whatever an image or a feed says.
func TestTableIsText(t *testing.T) {
	var out bytes.Buffer
	if err := report.Table(&out, reports()["full"], report.TableOptions{}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("it has control characters:\n%q", out.String())
	}
	out.Reset()
	if err := report.Table(&out, reports()["full"], report.TableOptions{Color: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "\x1b[1;31mCRITICAL\x1b[0m") || strings.Contains(out.String(), "\x1b]") {
		t.Errorf("colours:\n%q", out.String())
	}
}

func TestNoFeedIsTold(t *testing.T) {
	r := report.New("x", "1", now, []feed.Status{{Name: "debian"}}, 0)
	s := scan()
	s.Findings, s.Judgement, s.Coverage = nil, policy.Judgement{}, image.Coverage{Verdict: image.Unjudged, Reasons: []string{"no feed has data on debian:12"}}
	r.Add(s)
	var out bytes.Buffer
	if err := report.Table(&out, r, report.TableOptions{NoAdvisories: "Fetch them with X."}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "COVERAGE IS UNKNOWN") || !strings.Contains(out.String(), "Fetch them with X.") || strings.Contains(out.String(), "No vulnerability is known") {
		t.Errorf("got:\n%s", &out)
	}
}

// TestSARIFShape holds what the specification asks for where a reader would
// stumble: sections 3.27.6 (ruleIndex), 3.4 (artifactLocation), 3.27.10 (level).
func TestSARIFShape(t *testing.T) {
	for name, r := range reports() {
		var out bytes.Buffer
		if err := report.SARIF(&out, r); err != nil {
			t.Fatal(err)
		}
		var log struct {
			Version string
			Schema  string `json:"$schema"`
			Runs    []struct {
				Tool struct {
					Driver struct {
						Name  string
						Rules []struct {
							ID         string
							Default    struct{ Level string } `json:"defaultConfiguration"`
							Properties map[string]any
						}
					}
				}
				Invocations []struct {
					Successful    *bool                    `json:"executionSuccessful"`
					Notifications []struct{ Level string } `json:"toolExecutionNotifications"`
				}
				Artifacts []struct{ Location struct{ URI string } }
				Results   []struct {
					RuleID    string
					RuleIndex int
					Level     string
					Message   struct{ Text string }
					Locations []struct {
						PhysicalLocation struct {
							ArtifactLocation struct {
								URI, URIBaseID string
								Index          int
							}
							Region struct{ StartLine int }
						}
					}
					PartialFingerprints map[string]string
				}
				BaseIDs map[string]any `json:"originalUriBaseIds"`
			}
		}
		if err := json.Unmarshal(out.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		if log.Version != "2.1.0" || log.Schema == "" || len(log.Runs) != len(r.Images) {
			t.Fatalf("%s: got %+v", name, log)
		}
		levels := []string{"none", "note", "warning", "error"}
		for i, run := range log.Runs {
			if run.Tool.Driver.Name == "" || len(run.Results) != len(r.Images[i].Findings) || len(run.Invocations) != 1 || run.Invocations[0].Successful == nil {
				t.Errorf("%s: got %+v", name, run)
			}
			if *run.Invocations[0].Successful == (r.Images[i].Analysis == "failed") || len(run.Invocations[0].Notifications) != len(r.Images[i].Coverage.Reasons) {
				t.Errorf("%s: invocation %+v", name, run.Invocations[0])
			}
			seen := make(map[string]bool)
			for _, rule := range run.Tool.Driver.Rules {
				score, _ := rule.Properties["security-severity"].(string)
				if seen[rule.ID] || !slices.Contains(levels, rule.Default.Level) || score == "" {
					t.Errorf("%s: rule %+v", name, rule)
				}
				seen[rule.ID] = true
			}
			prints := make(map[string]bool)
			for _, result := range run.Results {
				at := result.Locations[0].PhysicalLocation
				uri, err := url.Parse(at.ArtifactLocation.URI)
				switch {
				case run.Tool.Driver.Rules[result.RuleIndex].ID != result.RuleID:
					t.Errorf("%s: rule %d is not %s", name, result.RuleIndex, result.RuleID)
				case err != nil || uri.IsAbs() || strings.HasPrefix(uri.Path, "/"):
					t.Errorf("%s: URI %q, %v", name, at.ArtifactLocation.URI, err)
				case run.Artifacts[at.ArtifactLocation.Index].Location.URI != at.ArtifactLocation.URI || run.BaseIDs[at.ArtifactLocation.URIBaseID] == nil:
					t.Errorf("%s: artifact %+v", name, at.ArtifactLocation)
				case at.Region.StartLine < 1 || !slices.Contains(levels, result.Level) || result.Message.Text == "":
					t.Errorf("%s: result %+v", name, result)
				}
				prints[result.PartialFingerprints["pratique/v1"]] = true
			}
			if len(prints) != len(run.Results) {
				t.Errorf("%s: %d fingerprints of %d results", name, len(prints), len(run.Results))
			}
		}
	}
}

func TestBills(t *testing.T) {
	var out bytes.Buffer
	if err := report.CycloneDX(&out, reports()["full"]); err != nil {
		t.Fatal(err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&out, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	refs := make(map[string]string)
	for _, c := range *bom.Components {
		refs[c.BOMRef] = c.Name
	}
	got := make(map[string][]string)
	for _, v := range *bom.Vulnerabilities {
		if v.Affects == nil { // of a package that the bill does not list
			continue
		}
		for _, a := range *v.Affects {
			got[v.ID] = append(got[v.ID], refs[a.Ref])
		}
	}
	if !slices.Equal(got["CVE-2024-0001"], []string{"libssl3", "openssl"}) || !slices.Equal(got["CVE-2023-46218"], []string{"curl"}) {
		t.Errorf("affected: %v", got)
	}
	out.Reset()
	if err := report.SPDX(&out, reports()["full"]); err != nil {
		t.Fatal(err)
	}
	if document, err := spdxjson.Read(&out); err != nil || len(document.Packages) != 6 {
		t.Errorf("SPDX: %+v, %v", document, err)
	}
	for _, write := range []func(io.Writer, report.Report) error{report.CycloneDX, report.SPDX} {
		if err := write(io.Discard, reports()["several"]); !errors.Is(err, report.ErrSeveral) {
			t.Errorf("several: got %v", err)
		}
	}
}
