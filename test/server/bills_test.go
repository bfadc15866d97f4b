package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/test/sample"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// request makes a registry request that is answered with the status.
func request(t *testing.T, s *server, method, path, contentType string, body []byte, want int, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	decode(t, req, want, into)
}

// attachBill pushes a bill of an image as oras does, and returns its digest.
func attachBill(t *testing.T, s *server, repository, image, kind, bill string) string {
	t.Helper()
	for _, content := range []string{"{}", bill} {
		request(t, s, http.MethodPost, "/v2/"+repository+"/blobs/uploads/?digest="+digest.FromString(content).String(), "application/octet-stream", []byte(content), http.StatusCreated, nil)
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"artifactType":%q,
		"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2,"data":"e30="},
		"layers":[{"mediaType":%q,"digest":%q,"size":%d}],"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		manifestType, kind, digest.FromString("{}"), kind, digest.FromString(bill), len(bill), manifestType, image)
	name := digest.FromBytes(manifest).String()
	request(t, s, http.MethodPut, "/v2/"+repository+"/manifests/"+name, manifestType, manifest, http.StatusCreated, nil)
	return name
}

const muslBill = `{"spdxVersion":"SPDX-2.3","packages":[
	{"SPDXID":"SPDXRef-1","name":"musl","versionInfo":"1.2.5-r0","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.3"}]},
	{"SPDXID":"SPDXRef-2","name":"zlib","versionInfo":"1.3.1-r1","externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:apk/alpine/zlib@1.3.1-r1"}]}]}`

func zlibImage(t *testing.T) sample.Layer {
	t.Helper()
	l, err := sample.AlpineBase("3.20.3", sample.AlpinePackage{Name: "zlib", Version: "1.3.1-r1", Origin: "zlib"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestPushedBills: what a pushed bill states of an image is judged like what was
// found in it, wherever else the image is, and for as long as the bill is there.
func TestPushedBills(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
		updateFeeds(t, s)
		call[struct{}](t, s, http.MethodPost, "/registries", map[string]any{"name": "other"}, http.StatusCreated)
		push := func(repository string) (image string) {
			t.Helper()
			image, err := s.registry().Push(t.Context(), repository, "1", zlibImage(t))
			if err != nil {
				t.Fatal(err)
			}
			return image
		}
		image := push("main/app")
		count := func(what string, want int) {
			t.Helper()
			got := findings(t, s, image)
			if len(got) != want || want == 1 && got[0].String() != "CVE-2025-26519 musl 1.2.5-r0 fixed 1.2.5-r1: unassessed" {
				t.Errorf("%s: got %v, want %d", what, got, want)
			}
		}
		count("the image alone", 0)
		bill := attachBill(t, s, "main/app", image, "application/spdx+json", muslBill)
		count("with a bill", 1)
		type installed struct {
			Name, Path, Detector, Evidence, Version string
		}
		packages := call[list[installed]](t, s, http.MethodGet, "/images/"+image+"/packages", nil, http.StatusOK).Items
		if want := (installed{"musl", "referrer:" + bill, "sbom", "component SPDXRef-1", "1.2.5-r0"}); len(packages) != 2 || packages[0] != want {
			t.Errorf("got %+v, want %+v", packages, want)
		}
		layers := call[list[struct {
			Packages int `json:"package_count"`
			Findings int `json:"finding_count"`
		}]](t, s, http.MethodGet, "/images/"+image+"/layers", nil, http.StatusOK).Items
		if len(layers) != 1 || layers[0].Packages != 1 || layers[0].Findings != 0 {
			t.Errorf("layers %+v", layers)
		}
		request(t, s, http.MethodDelete, "/v2/main/app/manifests/"+bill, "", nil, http.StatusAccepted, nil)
		count("the bill was deleted", 0)

		attachBill(t, s, "other/app", image, "application/spdx+json", muslBill)
		count("a bill where the image is not", 0)
		push("other/app")
		count("and now is", 1)
		call[struct{}](t, s, http.MethodDelete, "/registries/other?force=true", nil, http.StatusNoContent)
		count("the registry was deleted", 0)
	})
}

// TestAttachedBills: a registry keeps bills beside its images when asked.
func TestAttachedBills(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine", "--base-url", "http://registry.example.com")
		image, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		type descriptor struct {
			Digest       string            `json:"digest"`
			ArtifactType string            `json:"artifactType"`
			Annotations  map[string]string `json:"annotations"`
		}
		referrers := func(image string) (list []descriptor) {
			t.Helper()
			var index struct{ Manifests []descriptor }
			request(t, s, http.MethodGet, "/v2/main/app/referrers/"+image, "", nil, http.StatusOK, &index)
			return index.Manifests
		}
		// until waits for the background's work.
		until := func(image string, types ...string) []descriptor {
			t.Helper()
			for deadline := time.Now().Add(2 * time.Minute); ; {
				var got []string
				list := referrers(image)
				for _, d := range list {
					got = append(got, d.ArtifactType)
				}
				if slices.Equal(got, types) {
					return list
				}
				if time.Now().After(deadline) {
					t.Fatalf("the referrers of %s are of %v, want %v", image, got, types)
				}
			}
		}
		set := func(format string) {
			t.Helper()
			r := call[struct {
				AttachSBOM string `json:"attach_sbom"`
			}](t, s, http.MethodPatch, "/registries/main", map[string]any{"attach_sbom": format}, http.StatusOK)
			if r.AttachSBOM != format {
				t.Errorf("got %q, want %q", r.AttachSBOM, format)
			}
		}
		call[json.RawMessage](t, s, http.MethodPatch, "/registries/main", map[string]any{"attach_sbom": "xml"}, http.StatusUnprocessableEntity)
		const cycloneDX, spdx = "application/vnd.cyclonedx+json", "application/spdx+json"
		if got := referrers(image); len(got) != 0 {
			t.Errorf("nobody asked for %v", got)
		}
		set("cyclonedx")
		first := until(image, cycloneDX)[0]
		second, err := s.registry().Push(t.Context(), "main/app", "2", zlibImage(t))
		if err != nil {
			t.Fatal(err)
		}
		until(second, cycloneDX)

		// As a client reads it.
		var manifest struct {
			Layers []struct{ Digest string }
		}
		request(t, s, http.MethodGet, "/v2/main/app/manifests/"+first.Digest, "", nil, http.StatusOK, &manifest)
		var bill struct {
			Metadata struct {
				Component struct {
					Purl string `json:"purl"`
				} `json:"component"`
			} `json:"metadata"`
			Components []struct {
				Purl string `json:"purl"`
			} `json:"components"`
		}
		request(t, s, http.MethodGet, "/v2/main/app/blobs/"+manifest.Layers[0].Digest, "", nil, http.StatusOK, &bill)
		if len(bill.Components) != 2 || !strings.HasPrefix(bill.Components[1].Purl, "pkg:apk/alpine/musl@1.2.5-r0") ||
			bill.Metadata.Component.Purl != "pkg:oci/app@"+image+"?arch=amd64&repository_url=registry.example.com%2Fmain%2Fapp" || first.Annotations["org.pratique.sbom"] != "CycloneDX 1.6" {
			t.Errorf("got %+v, %+v", bill, first)
		}

		// A pushed bill changes the inventory, and with it what is attached; our own is not read again.
		pushed := attachBill(t, s, "main/app", image, "text/spdx+json", strings.Replace(muslBill, "zlib@1.3.1-r1", "zlib@9", 1))
		for deadline := time.Now().Add(2 * time.Minute); ; {
			list := referrers(image)
			if len(list) == 2 && !slices.ContainsFunc(list, func(d descriptor) bool { return d.Digest == first.Digest }) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the referrers are %+v", list)
			}
		}
		packages := call[list[json.RawMessage]](t, s, http.MethodGet, "/images/"+image+"/packages", nil, http.StatusOK).Items
		if len(packages) != 2 {
			t.Errorf("got %s", packages)
		}
		request(t, s, http.MethodDelete, "/v2/main/app/manifests/"+pushed, "", nil, http.StatusAccepted, nil)
		set("spdx")
		until(image, spdx)
		until(second, spdx)
		set("none")
		until(image)
		until(second)
	})
}
