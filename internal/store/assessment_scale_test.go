package store_test

import (
	"testing"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/store"
)

// TestDecisionsOverManyImages: a decision over a thousand images, and its preview,
// are quick.
func TestDecisionsOverManyImages(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		const numbers = ` from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 1000) select n from c) numbers`
		const digest = `'sha256:' || substr('0000000000000000000000000000000000000000000000000000000000000000' || cast(n as text), -64)`
		padded := digest
		if s.Engine() == store.Postgres {
			padded = `'sha256:' || lpad(cast(n as text), 64, '0')`
		}
		s.Exec(t, `insert into files (id, path, detector) values (1, 'p', 'd')`, `insert into inventories (id, key, created_at) select n, cast(n as text), 0`+numbers,
			`insert into inventory_packages (inventory_id, package_id, file_id, layer_position) select n, 1, 1, 0`+numbers,
			`insert into images (id, digest, media_type, state, created_at, inventory_id, analysed_at) select 100 + n, `+padded+`, 'image', 'done', 0, n, 0`+numbers,
			`insert into manifests (id, repository_id, digest, media_type, size, content, pushed_at) select 100 + n, 1, `+padded+`, 'image', 1, '', 0`+numbers,
			`insert into matches (package_id, vulnerability_id, feed, part, severity, first_seen) values (1, 1, 'alpine', 'main', 4, 0)`)
		var requests []assess.Request
		places, all, err := s.AffectedPlaces(t.Context(), []int64{1}, []assess.Scope{{Kind: assess.Everywhere}}, 5000)
		if err != nil || len(places) != 1000 || !all {
			t.Fatalf("%d places, %v", len(places), err)
		}
		for _, p := range places {
			requests = append(requests, assess.Request{Vulnerability: "CVE-1", Type: "Block", Scope: assess.Scope{Kind: assess.Image, Value: p.Digest}, Author: "ann"})
		}
		began := time.Now()
		preview, err := service.Preview(t.Context(), requests, nil, time.Minute)
		if err != nil || preview.Blocked != 1000 || preview.Images != 1000 || !preview.Complete {
			t.Fatalf("preview: %+v, %v", preview, err)
		}
		t.Logf("previewed in %s", time.Since(began))
		began = time.Now()
		created, err := service.AssessAll(t.Context(), requests, nil)
		if err != nil || len(created) != 1000 {
			t.Fatalf("%d, %v", len(created), err)
		}
		t.Logf("assessed in %s", time.Since(began))
		requests[500].Scope.Value = imageA[:len(imageA)-1] + "0"
		requests[700].Type = "Blok"
		if _, err := service.AssessAll(t.Context(), requests, nil); err == nil {
			t.Error("a bad one among a thousand is taken")
		}
		if preview, err = service.Preview(t.Context(), []assess.Request{{Vulnerability: "CVE-1", Type: "Ignore", Author: "ann",
			Scope: assess.Scope{Kind: assess.Image, Value: places[0].Digest}}}, nil, time.Minute); err != nil || preview.Pullable != 1 || preview.Superseded != 1 {
			t.Errorf("preview: %+v, %v", preview, err)
		}
		if v, err := s.VerifyHistory(t.Context(), assess.Anchor{}); err != nil || len(v.Faults) > 0 || v.Events != 1000 {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
