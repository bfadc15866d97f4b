package clairv1_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/clairapi/clairv1"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/test/clair/clairtest"
)

// ProGet scores by CVSS v2 alone: what has none gets one that is derived, and marked
// as such. A layer and a vulnerability by its name tell the same.
func TestScores(t *testing.T) {
	const three = "AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"
	for name, derive := range map[string]bool{"derived": true, "as they are": false} {
		t.Run(name, func(t *testing.T) {
			server, blobs := clairtest.Start(t, clairtest.Options{V1: clairv1.Options{DeriveCVSS2: derive}}), clairtest.NewBlobs(t)
			var entries []feed.Entry
			for cve, scores := range map[string][]advisory.Score{
				"CVE-2024-0001": {{Version: "3.1", Vector: "CVSS:3.1/" + three, Base: 9.8}},
				"CVE-2024-0002": {{Version: "3.1", Vector: "CVSS:3.1/" + three, Base: 9.8}, {Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P", Base: 7.5}},
			} {
				server.Advise(t, clairtest.Affected(cve, "alpine:v3.7", "musl", "1.1.18-r4", advisory.High))
				entries = append(entries, feed.Entry{Group: advisory.Group{Part: "all", Name: cve, Details: map[string]advisory.Detail{cve: {Scores: scores}}}})
			}
			server.Advise(t, clairtest.Affected("CVE-2024-0003", "alpine:v3.7", "musl", "1.1.18-r4", advisory.High))
			if err := server.Store.ReplaceAdvisories(t.Context(), advisory.NVD, "all", entries, nil, match.Package); err != nil {
				t.Fatal(err)
			}
			if status, body := server.Post(t, clairtest.Layer{Name: "a", Path: blobs.Add(alpine(t))}); status != http.StatusCreated {
				t.Fatalf("%d %s", status, body)
			}
			type vulnerability struct {
				Name     string
				Metadata struct {
					NVD struct {
						CVSSv2 *struct {
							Score            float64
							Vectors, Derived string
						}
						CVSSv3 *struct {
							Score   float64
							Vectors string
						}
					}
				}
			}
			_, body := server.Call(t, http.MethodGet, "/v1/layers/a?vulnerabilities", "")
			var layer struct {
				Layer struct {
					Features []struct{ Vulnerabilities []vulnerability }
				}
			}
			if err := json.Unmarshal([]byte(body), &layer); err != nil || len(layer.Layer.Features) != 1 || len(layer.Layer.Features[0].Vulnerabilities) != 3 {
				t.Fatalf("%v: %s", err, body)
			}
			for _, v := range layer.Layer.Features[0].Vulnerabilities {
				_, body := server.Call(t, http.MethodGet, "/v1/namespaces/alpine:v3.7/vulnerabilities/"+v.Name+"?fixedIn", "")
				var alone struct{ Vulnerability vulnerability }
				if err := json.Unmarshal([]byte(body), &alone); err != nil {
					t.Fatalf("%v: %s", err, body)
				}
				if diff := cmp.Diff(alone.Vulnerability, v); diff != "" {
					t.Errorf("(-by name +in the layer):\n%s", diff)
				}
				two, later := v.Metadata.NVD.CVSSv2, v.Metadata.NVD.CVSSv3
				switch {
				case v.Name == "CVE-2024-0003":
					if two != nil || later != nil {
						t.Errorf("a score of nothing: %s", body)
					}
				case later == nil || later.Score != 9.8 || later.Vectors != three:
					t.Errorf("version 3: %s", body)
				case v.Name == "CVE-2024-0002":
					if two == nil || two.Score != 7.5 || two.Vectors == "" || two.Derived != "" {
						t.Errorf("given: %s", body)
					}
				case (two != nil) != derive || derive && (two.Score != 9.8 || two.Vectors != "" || two.Derived != "CVSS:3.1/"+three):
					t.Errorf("derived: %s", body)
				}
			}
		})
	}
}
