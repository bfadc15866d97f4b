package store_test

import (
	"context"
	"errors"
	"fmt"
	"github.com/pratique/pratique/internal/audit"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/vex"
)

// noQueue remembers work that nobody does.
type noQueue struct{ work []vex.Work }

func (q *noQueue) Later(_ context.Context, work ...vex.Work) error {
	q.work = append(q.work, work...)
	return nil
}

type oneBlob string

func (b oneBlob) Open(context.Context, string) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(b))), nil
}

// vexHarbour is a registry with an image that has a vulnerability with an
// alias, by two packages, and an index that holds the image.
type vexHarbour struct {
	*store.Store
	t          *testing.T
	service    *vex.Service
	queue      *noQueue
	clock      *clock
	repository registry.Repository
}

func eachVEX(t *testing.T, test func(h *vexHarbour)) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		h := &vexHarbour{Store: s, t: t, queue: new(noQueue), clock: clock}
		if err := s.SeedAssessmentTypes(t.Context(), assess.DefaultTypes()); err != nil {
			t.Fatal(err)
		}
		mustRegistry(t, s, "main")
		h.repository = mustRepository(t, s, "main", "team/app")
		h.publish("GHSA-aaaa")
		saveImage(t, s, imageA, alpine(musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3")))
		h.put(&registry.Manifest{Digest: imageA, MediaType: registry.MediaTypeImage, Content: []byte("{}")})
		h.put(&registry.Manifest{Digest: indexC, MediaType: registry.MediaTypeIndex, Content: []byte("{}"),
			References: []registry.Reference{{Kind: registry.KindManifest, Digest: imageA, Size: 2}}})
		h.service = vex.New(s, oneBlob(vexDocument("CVE-2019-14697", "")), h.queue, vex.Options{})
		test(h)
	})
}

func (h *vexHarbour) publish(aliases ...string) {
	h.t.Helper()
	publish(h.t, h.Store, "alpine", advisory.Group{Part: "v3.7/main", Name: "musl", Advisories: []advisory.Advisory{{
		Vulnerability: "CVE-2019-14697", Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected, Fixed: "1.1.18-r4", Severity: advisory.High,
	}}, Details: map[string]advisory.Detail{"CVE-2019-14697": {Aliases: aliases}}})
}

func (h *vexHarbour) put(m *registry.Manifest) *registry.Manifest {
	h.t.Helper()
	m.PushedBy = "ann"
	if err := h.PutManifest(h.t.Context(), h.repository.ID, m, nil); err != nil {
		h.t.Fatal(err)
	}
	return m
}

// vexDocument is OpenVEX that says a vulnerability of a product is fixed.
func vexDocument(name, product string) string {
	products := ""
	if product != "" {
		products = fmt.Sprintf(`, "products": [%q]`, product)
	}
	return fmt.Sprintf(`{"@context": "https://openvex.dev/ns", "@id": "doc", "author": "Acme", "timestamp": "2026-02-01T00:00:00Z",
		"statements": [{"vulnerability": %q, "status": "fixed"%s}]}`, name, products)
}

func (h *vexHarbour) upload(content, image string) vex.Stored {
	h.t.Helper()
	d, err := h.service.Upload(h.t.Context(), []byte(content), image, "admin")
	if err != nil {
		h.t.Fatal(err)
	}
	h.do(vex.Work{Document: d.ID})
	return d
}

func (h *vexHarbour) do(w vex.Work) {
	h.t.Helper()
	if err := h.service.Do(h.t.Context(), w); err != nil {
		h.t.Fatal(err)
	}
}

// came says what the first statement of a document came to.
func (h *vexHarbour) came(id int64) string {
	h.t.Helper()
	list, err := h.service.Statements(h.t.Context(), id, 0, 10)
	if err != nil {
		h.t.Fatal(err)
	}
	text := fmt.Sprintf("known %v", list[0].Known)
	for _, o := range list[0].Outcomes {
		text += fmt.Sprintf(", %s %s", o.Image[7:9], o.State)
	}
	return text
}

func (h *vexHarbour) assessments() (lines []string) {
	h.t.Helper()
	list, err := h.Assessments(h.t.Context(), assess.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, a := range list {
		line := a.Vulnerability + " " + a.Type + " " + a.Author
		if !a.EndedAt.IsZero() {
			line += fmt.Sprintf(", %s by %s", a.EndedReason, a.EndedBy)
		}
		lines = append(lines, line)
	}
	return lines
}

func (h *vexHarbour) check(step string, got any, want any) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", step, diff)
	}
}

const acme = "CVE-2019-14697 Ignore vex: Acme (doc)"

func TestVEXIsAppliedByAnyName(t *testing.T) {
	for _, test := range []struct{ name, vulnerability, product, image, want string }{
		{"an alias and a repository's name", "GHSA-aaaa", "pkg:oci/app", "", "known true, aa applied"},
		{"the index that holds it", "CVE-2019-14697", "pkg:oci/x@" + indexC, "", "known true, aa applied"},
		{"about the index", "CVE-2019-14697", "", indexC, "known true, aa applied"},
		{"a package", "CVE-2019-14697", "pkg:apk/alpine/musl", "", "known true, aa partial"},
		{"another repository's name", "CVE-2019-14697", "pkg:oci/team", "", "known true"},
		{"about another image", "CVE-2019-14697", "", imageB, "known true"},
		{"an unknown name", "CVE-1", "pkg:oci/app", "", "known false"},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachVEX(t, func(h *vexHarbour) {
				d := h.upload(vexDocument(test.vulnerability, test.product), test.image)
				h.check("outcome", h.came(d.ID), test.want)
			})
		})
	}
}

func TestVEXIsIdempotent(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		d := h.upload(vexDocument("CVE-2019-14697", "pkg:oci/app"), "")
		again := h.upload(vexDocument("CVE-2019-14697", "pkg:oci/app"), "")
		h.do(vex.Work{})
		h.check("document", again.ID, d.ID)
		h.check("assessments", h.assessments(), []string{acme})
		entries, err := h.AuditEntries(h.t.Context(), audit.Filter{Limit: 10})
		if err != nil {
			h.t.Fatal(err)
		}
		var log []string
		for _, e := range entries {
			log = append(log, e.Actor+" "+e.Action)
		}
		h.check("audit log", log, []string{"vex: Acme (doc) assessment.create", "admin vex-document.create"})
	})
}

// TestVEXWaits has what a document is about come later.
func TestVEXWaits(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		d := h.upload(vexDocument("GHSA-later", "pkg:oci/app"), "")
		h.check("first", h.came(d.ID), "known false")
		h.publish("GHSA-aaaa", "GHSA-later")
		h.do(vex.Work{})
		h.check("with a name", h.came(d.ID), "known true, aa applied")
		saveImage(h.t, h.Store, imageB, alpine(musl("musl", "1.1.18-r3")))
		h.do(vex.Work{Image: imageB})
		h.check("nowhere", h.came(d.ID), "known true, aa applied")
		h.put(&registry.Manifest{Digest: imageB, MediaType: registry.MediaTypeImage, Content: []byte("{}")})
		h.do(vex.Work{Image: imageB})
		h.check("another image", h.came(d.ID), "known true, aa applied, bb applied")
	})
}

func TestVEXOfReferrers(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		m := h.put(&registry.Manifest{Digest: artifactD, MediaType: registry.MediaTypeImage, ArtifactType: "application/vnd.openvex+json", Subject: imageA,
			Content: []byte(`{"layers": [{"mediaType": "application/vnd.openvex+json", "digest": "sha256:doc"}, {"mediaType": "text/plain", "digest": "sha256:x"}]}`)})
		h.do(vex.Work{Manifest: m.ID})
		h.do(vex.Work{Manifest: m.ID})
		documents, err := h.VEXDocuments(h.t.Context(), 0, 10)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(documents) != 1 {
			h.t.Fatalf("documents: %+v", documents)
		}
		d := documents[0]
		h.check("document", []string{d.Repository, d.BroughtBy, d.Image, d.Manifest, d.Author}, []string{"main/team/app", "ann", imageA, artifactD, "Acme"})
		h.check("assessments", h.assessments(), []string{acme})
		if err := h.DeleteRegistry(h.t.Context(), "main", true, "admin"); err != nil {
			h.t.Fatal(err)
		}
		h.do(vex.Work{})
		h.check("without the registry", h.assessments(), []string{acme + ", withdrawn by system"})
	})
}

func TestVEXYieldsToPeople(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		ctx := h.t.Context()
		service := assess.New(h.Store, assess.Options{Now: h.clock.Now})
		first := h.upload(vexDocument("CVE-2019-14697", "pkg:oci/app"), "")
		live, err := h.Assessments(ctx, assess.Filter{LiveAt: h.clock.Now()})
		if err != nil || len(live) != 1 {
			h.t.Fatalf("live: %v, %v", live, err)
		}
		if _, err := service.Withdraw(ctx, live[0].ID, "bob", 0); err != nil {
			h.t.Fatal(err)
		}
		h.do(vex.Work{})
		h.check("withdrawn", h.came(first.ID), "known true, aa overruled")
		// Another document is another word.
		second := h.upload(vexDocument("GHSA-aaaa", "pkg:oci/app"), "")
		h.check("another", h.came(second.ID), "known true, aa applied")
		if _, err := service.Assess(ctx, assess.Request{Vulnerability: "CVE-2019-14697", Type: "Block", Author: "bob",
			Scope: assess.Scope{Kind: assess.Image, Value: imageA}, Expiry: assess.Expiry{At: h.clock.Now().Add(time.Hour)}}); err != nil {
			h.t.Fatal(err)
		}
		h.do(vex.Work{})
		h.check("a person's", h.came(second.ID), "known true, aa overruled")
		third := h.upload(vexDocument("CVE-2019-14697", imageA), "")
		h.check("while it holds", h.came(third.ID), "known true, aa overruled")
		h.clock.advance(time.Hour)
		h.do(vex.Work{})
		h.check("after it expired", h.came(third.ID), "known true, aa applied")
		h.check("history", h.assessments(), []string{acme, "CVE-2019-14697 Block bob, expired by system", acme + ", superseded by bob", acme + ", withdrawn by bob"})
	})
}

// TestVEXPlansAreChecked: what was decided on must still be so.
func TestVEXPlansAreChecked(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		ctx := h.t.Context()
		d, _, err := h.AddVEXDocument(ctx, vex.Stored{Document: vex.Document{ID: "doc", Author: "Acme", Statements: []vex.Statement{{
			Vulnerability: "CVE-2019-14697", Status: vex.Fixed, Products: []vex.Product{{ID: imageA}}}}}, Digest: "sha256:1", BroughtBy: "admin"})
		if err != nil {
			h.t.Fatal(err)
		}
		plan := func() vex.Plan {
			situation, err := h.VEXSituation(ctx, imageA)
			if err != nil {
				h.t.Fatal(err)
			}
			return vex.Decide(situation, "Ignore")
		}
		stale := plan()
		if _, err := assess.New(h.Store, assess.Options{Now: h.clock.Now}).Assess(ctx, assess.Request{Vulnerability: "CVE-2019-14697", Type: "Block", Author: "bob",
			Scope: assess.Scope{Kind: assess.Image, Value: imageA}}); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.SettleVEX(ctx, stale, "Ignore"); !errors.Is(err, vex.ErrRaced) {
			h.t.Errorf("a person was faster: got %v", err)
		}
		orphan := plan()
		if _, err := h.DeleteVEXDocument(ctx, d.ID, "admin"); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.SettleVEX(ctx, orphan, "Ignore"); !errors.Is(err, vex.ErrRaced) {
			h.t.Errorf("the document went: got %v", err)
		}
		if _, err := h.DeleteVEXDocument(ctx, d.ID, "admin"); !errors.Is(err, store.ErrNotFound) || !errors.Is(err, vex.ErrNotFound) {
			h.t.Errorf("it went twice: got %v", err)
		}
		h.check("assessments", h.assessments(), []string{"CVE-2019-14697 Block bob"})
	})
}

// TestVEXOfAnImageIsBounded: what one image is flooded with harms no other.
func TestVEXOfAnImageIsBounded(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		saveImage(h.t, h.Store, imageB, alpine(musl("musl", "1.1.18-r3")))
		h.put(&registry.Manifest{Digest: imageB, MediaType: registry.MediaTypeImage, Content: []byte("{}")})
		products := make([]vex.Product, 9000)
		for i := range products {
			products[i].ID = strings.Repeat("p", 1000)
		}
		for i := range 8 { // 9 MB each
			if _, _, err := h.AddVEXDocument(h.t.Context(), vex.Stored{Digest: fmt.Sprint(i), Image: imageA, BroughtBy: "ann", Document: vex.Document{
				Statements: []vex.Statement{{Vulnerability: "CVE-2019-14697", Status: vex.Fixed, Products: products}}}}); err != nil {
				h.t.Fatal(err)
			}
		}
		d, err := h.service.Upload(h.t.Context(), []byte(vexDocument("CVE-2019-14697", "pkg:oci/app")), "", "admin")
		if err != nil {
			h.t.Fatal(err)
		}
		if err := h.service.Do(h.t.Context(), vex.Work{Document: d.ID}); !errors.Is(err, vex.ErrTooMuch) {
			h.t.Errorf("got %v", err)
		}
		h.check("outcome", h.came(d.ID), "known true, bb applied")
	})
}

// TestVEXOfHundredThousand has as many documents on other images that name the
// same vulnerability.
func TestVEXOfHundredThousand(t *testing.T) {
	eachVEX(t, func(h *vexHarbour) {
		const rows, page = 100_000, 1000
		const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) `
		h.Exec(h.t,
			numbers+`insert into vex_documents (digest, image, brought_by, statements, created_at) select 'd' || i, 'sha256:' || i, 'ann', 1, 0 from n`,
			`insert into vex_statements (document_id, position, statement) select id, 0,
				'{"vulnerability": "CVE-2019-14697", "status": "fixed", "products": [{"id": "pkg:oci/app"}], "timestamp": "2026-02-01T00:00:00Z"}' from vex_documents`,
			`insert into vex_names (name, image, document_id, position) select 'CVE-2019-14697', image, id, 0 from vex_documents`,
			`insert into vex_outcomes (document_id, position, image, state) select id, 0, image, 'idle' from vex_documents`,
			`analyze`,
		)
		began := time.Now()
		count := 0
		for before := int64(0); ; {
			list, err := h.service.Documents(h.t.Context(), before, page)
			if err != nil {
				h.t.Fatal(err)
			}
			if count += len(list); len(list) < page {
				break
			}
			before = list[len(list)-1].ID
		}
		h.check("documents", count, rows)
		h.t.Logf("listed %d documents in %s", count, time.Since(began))
		began = time.Now()
		d := h.upload(vexDocument("CVE-2019-14697", ""), imageA)
		h.check("outcome", h.came(d.ID), "known true, aa applied")
		h.t.Logf("applied one of them in %s", time.Since(began))
		began = time.Now()
		if err := h.service.Delete(h.t.Context(), d.ID, "admin"); err != nil {
			h.t.Fatal(err)
		}
		h.check("assessments", h.assessments(), []string{acme + ", withdrawn by admin"})
		h.t.Logf("withdrew it in %s", time.Since(began))
		began = time.Now()
		if err := h.service.Sweep(h.t.Context()); err != nil {
			h.t.Fatal(err)
		}
		h.t.Logf("looked for gone referrers in %s", time.Since(began))
	})
}
