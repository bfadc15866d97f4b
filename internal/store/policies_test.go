package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/store"
)

func ptr[T any](v T) *T { return &v }

func TestPolicySettings(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, clock *ticking) {
		service := policy.New(s, policy.Options{Now: clock.Now})
		hours := func(n int) func(policy.Settings) policy.Settings {
			return func(s policy.Settings) policy.Settings { s.GraceHours = &n; return s }
		}
		for _, name := range []string{"", "main"} {
			if own, _, err := service.Policy(t.Context(), name); err != nil || own.Version != 1 || own.Settings.GraceHours != nil {
				t.Fatalf("a new policy of %q: %+v, %v", name, own, err)
			}
			changed, err := service.Change(t.Context(), name, 1, hours(5))
			if err != nil || changed.Version != 2 || !changed.Since[policy.GraceHours].Equal(assessNoon) {
				t.Errorf("%q: got %+v, %v", name, changed, err)
			}
			if _, err := service.Change(t.Context(), name, 1, hours(6)); !errors.Is(err, policy.ErrStale) {
				t.Errorf("%q, by an old version: got %v", name, err)
			}
			if changed, err = service.Change(t.Context(), name, 0, hours(5)); err != nil || changed.Version != 2 {
				t.Errorf("%q, no change: got %+v, %v", name, changed, err)
			}
			var field *assess.FieldError
			if _, err := service.Change(t.Context(), name, 0, hours(-1)); !errors.As(err, &field) {
				t.Errorf("%q, a bad value: got %v", name, err)
			}
			if own, _, err := service.Policy(t.Context(), name); err != nil || own.Version != 2 || *own.Settings.GraceHours != 5 {
				t.Errorf("%q: got %+v, %v", name, own, err)
			}
		}
		global, own, err := s.PolicySettings(t.Context(), "main2")
		if err != nil || *global.GraceHours != 5 || own.GraceHours != nil {
			t.Errorf("got %+v, %+v, %v", global, own, err)
		}
		if _, _, err := s.PolicySettings(t.Context(), "nowhere"); !errors.Is(err, policy.ErrNotFound) {
			t.Errorf("no registry: got %v", err)
		}
		if _, err := service.Change(t.Context(), "nowhere", 0, hours(1)); !errors.Is(err, policy.ErrNotFound) {
			t.Errorf("no registry: got %v", err)
		}
		s.Exec(t, `update registries set policy = '{"block' where name = 'main'`)
		if _, own, err := s.PolicySettings(t.Context(), "main"); err == nil {
			t.Errorf("a damaged policy: got %v, want an error", own)
		}
	})
}

// TestPolicyEditors: of changes without a version none is lost, of those with
// one only the first is made.
func TestPolicyEditors(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, clock *ticking) {
		service := policy.New(s, policy.Options{Now: clock.Now})
		for _, name := range []string{"", "main"} {
			var editors sync.WaitGroup
			for _, edit := range []func(*policy.Settings){
				func(s *policy.Settings) { s.GraceHours = ptr(7) },
				func(s *policy.Settings) { s.RequireAnalysis = ptr(true) },
				func(s *policy.Settings) { s.Block = &[]string{"Caution"} },
				func(s *policy.Settings) { s.MaxFeedAgeHours = ptr(8) },
			} {
				editors.Go(func() {
					if _, err := service.Change(t.Context(), name, 0, func(s policy.Settings) policy.Settings { edit(&s); return s }); err != nil {
						t.Error(err)
					}
				})
			}
			editors.Wait()
			own, _, err := service.Policy(t.Context(), name)
			if err != nil || own.Version != 5 || own.GraceHours == nil || own.RequireAnalysis == nil || own.Block == nil || own.MaxFeedAgeHours == nil {
				t.Errorf("%q: got %+v, %v", name, own, err)
			}
			var made, stale atomic.Int64
			for i := range 5 {
				editors.Go(func() {
					_, err := service.Change(t.Context(), name, 5, func(s policy.Settings) policy.Settings { s.GraceHours = ptr(100 + i); return s })
					switch {
					case err == nil:
						made.Add(1)
					case errors.Is(err, policy.ErrStale):
						stale.Add(1)
					default:
						t.Error(err)
					}
				})
			}
			editors.Wait()
			if made.Load() != 1 || stale.Load() != 4 {
				t.Errorf("%q: %d changes were made, %d were stale", name, made.Load(), stale.Load())
			}
		}
	})
}

func TestExceptions(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, clock *ticking) {
		var changes int
		service := policy.New(s, policy.Options{Now: clock.Now, Changed: func() { changes++ }})
		grant := func(registry string, hours int) policy.Exception {
			t.Helper()
			e, err := service.Except(t.Context(), policy.Exception{Registry: registry, Repository: "team/*", Tag: "1.*", User: "r*", Digest: imageA,
				Comment: "why", Author: "ann", ExpiresAt: clock.Now().Add(time.Duration(hours) * time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		all, main, other := grant("", 1), grant("main", 2), grant("main2", 3)
		want := policy.Exception{ID: main.ID, Registry: "main", Repository: "team/*", Tag: "1.*", User: "r*", Digest: imageA, Comment: "why", Author: "ann",
			CreatedAt: assessNoon, ExpiresAt: assessNoon.Add(2 * time.Hour)}
		if got, err := service.Exception(t.Context(), main.ID); err != nil || got != want || main != want {
			t.Errorf("got %+v and %+v, %v, want %+v", got, main, err, want)
		}
		live := func(what, registry string, want ...policy.Exception) {
			t.Helper()
			got, err := s.LiveExceptions(t.Context(), registry, clock.Now())
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
				t.Errorf("%s in %s: %v (-want +got):\n%s", what, registry, err, diff)
			}
		}
		live("granted", "main", main, all)
		live("granted", "main2", other, all)
		clock.Advance(time.Hour)
		live("expired", "main", main)
		if got, err := service.Exception(t.Context(), all.ID); err != nil || got.EndedBy != assess.System || !got.EndedAt.Equal(all.ExpiresAt) {
			t.Errorf("expired: got %+v, %v", got, err)
		}
		if _, err := service.EndException(t.Context(), all.ID, "bob"); !errors.Is(err, policy.ErrEnded) {
			t.Errorf("an expired one is ended: got %v", err)
		}
		if ended, err := service.EndException(t.Context(), main.ID, "bob"); err != nil || ended.EndedBy != "bob" || !ended.EndedAt.Equal(clock.Now()) {
			t.Errorf("got %+v, %v", ended, err)
		}
		live("ended", "main")
		for _, id := range []int64{main.ID, 99} {
			if _, err := service.EndException(t.Context(), id, "bob"); !errors.Is(err, policy.ErrEnded) && !errors.Is(err, policy.ErrNotFound) {
				t.Errorf("exception %d: got %v", id, err)
			}
		}
		if err := s.DeleteRegistry(t.Context(), "main2", true, "carl"); err != nil {
			t.Fatal(err)
		}
		live("gone with its registry", "main2")
		if got, err := service.Exception(t.Context(), other.ID); err != nil || got.EndedBy != "carl" {
			t.Errorf("gone with its registry: got %+v, %v", got, err)
		}
		page, err := service.Exceptions(t.Context(), policy.ExceptionFilter{Before: other.ID, Limit: 1}, false)
		if err != nil || len(page) != 1 || page[0].ID != main.ID {
			t.Errorf("a page: got %+v, %v", page, err)
		}
		if changes != 4 {
			t.Errorf("%d changes were told, want 4", changes)
		}
		_, err = service.Except(t.Context(), policy.Exception{Registry: "main2", Comment: "why", ExpiresAt: clock.Now().Add(time.Hour)})
		var field *assess.FieldError
		if !errors.As(err, &field) || field.Field != "registry" {
			t.Errorf("in a registry that is gone: got %v", err)
		}
	})
}

func TestPullNames(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		s.Exec(t, `insert into tags (repository_id, name, digest, updated_at) values (1, 'latest', '`+indexC+`', 0), (1, '1.0', '`+imageA+`', 0), (1, '1', '`+indexC+`', 0), (2, 'x', '`+imageA+`', 0)`,
			// A circle, as a damaged table could have it.
			`insert into manifest_references (manifest_id, kind, position, digest) values (3, 'manifest', 9, '`+indexC+`')`)
		for _, test := range []struct {
			repository, digest string
			want               policy.Names
		}{
			{"app", imageA, policy.Names{Digests: []string{imageA, indexC}, Tags: []string{"1.0", "1", "latest"}}},
			{"app", imageB, policy.Names{Digests: []string{imageB, indexC}, Tags: []string{"1", "latest"}}},
			{"app", indexC, policy.Names{Digests: []string{indexC}, Tags: []string{"1", "latest"}}},
			{"team/app", imageA, policy.Names{Digests: []string{imageA}, Tags: []string{"x"}}},
			{"nothing", imageB, policy.Names{Digests: []string{imageB}}},
		} {
			got, err := s.PullNames(t.Context(), "main", test.repository, test.digest)
			if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
				t.Errorf("%s %s: %v (-want +got):\n%s", test.repository, test.digest[:10], err, diff)
			}
		}
		for reference, want := range map[string]string{"1.0": imageA, "latest": indexC, imageB: imageB, "2": "", "x": "", "sha256:" + strings.Repeat("0", 64): ""} {
			got, err := s.ManifestDigest(t.Context(), "main", "app", reference)
			if got != want || (want == "") != errors.Is(err, policy.ErrNotFound) {
				t.Errorf("%s: got %s, %v", reference, got, err)
			}
		}
	})
}

func TestAdmissionTokens(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, clock *ticking) {
		clusters := policy.NewClusters(s, clock.Now)
		created, secret, err := clusters.CreateToken(t.Context(), "prod", "ann")
		if err != nil || !strings.HasPrefix(secret, created.Prefix) || created.CreatedBy != "ann" || !created.LastUsedAt.IsZero() {
			t.Fatal(created, err)
		}
		if _, _, err := clusters.CreateToken(t.Context(), "prod", "ann"); !errors.Is(err, policy.ErrExists) {
			t.Errorf("the name twice: got %v", err)
		}
		var field *assess.FieldError
		if _, _, err := clusters.CreateToken(t.Context(), "a b", "ann"); !errors.As(err, &field) || field.Field != "name" {
			t.Errorf("a bad name: got %v", err)
		}
		if got, err := clusters.Authenticate(t.Context(), secret); err != nil || got.ID != created.ID {
			t.Errorf("got %+v, %v", got, err)
		}
		list, err := clusters.Tokens(t.Context())
		if err != nil || len(list) != 1 || !list[0].LastUsedAt.Equal(clock.Now()) {
			t.Errorf("got %+v, %v", list, err)
		}
		for _, wrong := range []string{"", "pqa_", secret + "x", strings.ToUpper(secret), created.Prefix} {
			if _, err := clusters.Authenticate(t.Context(), wrong); !errors.Is(err, policy.ErrNotFound) {
				t.Errorf("%q: got %v", wrong, err)
			}
		}
		if _, err := clusters.RevokeToken(t.Context(), created.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := clusters.Authenticate(t.Context(), secret); !errors.Is(err, policy.ErrNotFound) {
			t.Errorf("revoked: got %v", err)
		}
		if _, err := clusters.RevokeToken(t.Context(), created.ID); !errors.Is(err, policy.ErrNotFound) {
			t.Errorf("revoked twice: got %v", err)
		}
		a, version, err := clusters.Change(t.Context(), 1, func(a *policy.Admission) { a.Hosts = []string{"mirror:5000"} })
		if err != nil || version != 2 || a.UnknownImages != policy.Allow {
			t.Errorf("got %+v, %d, %v", a, version, err)
		}
		if _, _, err := clusters.Change(t.Context(), 1, func(a *policy.Admission) { a.UnknownImages = policy.Deny }); !errors.Is(err, policy.ErrStale) {
			t.Errorf("by an old version: got %v", err)
		}
		if again, version, err := clusters.Admission(t.Context()); err != nil || version != 2 || !cmp.Equal(a, again) {
			t.Errorf("got %+v, %d, %v", again, version, err)
		}
	})
}

// known gives imageA and imageB musl, which has CVE-1.
func known(t *testing.T, s *store.Store) {
	t.Helper()
	ago := assessNoon.Add(-time.Hour).UnixMicro()
	s.Exec(t,
		`insert into inventories (id, key, distribution, created_at) values (1, 'k', 'alpine:v3.7', 0)`,
		`insert into files (id, path, detector) values (1, 'lib/apk/db/installed', 'apk')`,
		`insert into inventory_packages (inventory_id, package_id, file_id, layer_position, line) values (1, 1, 1, 0, 1)`,
		fmt.Sprintf(`insert into matches (id, package_id, vulnerability_id, feed, part, severity, first_seen) values (1, 1, 1, 'alpine', 'v3.7/main', 5, %d)`, ago),
		fmt.Sprintf(`update images set state = 'done', inventory_id = 1, analysed_at = %d where digest = '%s'`, ago, imageA),
	)
}

// TestFindingsOf: of many images at once the same is known as of each.
func TestFindingsOf(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		known(t, s)
		all, err := s.FindingsOf(t.Context(), []string{imageA, imageB, artifactD})
		if err != nil || len(all) != 2 {
			t.Fatalf("got %v, %v", all, err)
		}
		for _, digest := range []string{imageA, imageB} {
			img, err := s.ImageByDigest(t.Context(), digest)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(img, all[digest].Image, cmpopts.IgnoreFields(image.Image{}, "Layers", "MediaType"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-one +many):\n%s", digest, diff)
			}
			findings, err := s.ImageFindings(t.Context(), digest)
			if err != nil || len(findings) != len(all[digest].Findings) {
				t.Fatalf("%s: %d findings, %d among many, %v", digest, len(findings), len(all[digest].Findings), err)
			}
			for i, f := range findings {
				if g := all[digest].Findings[i]; !slices.Equal(g.Sources, f.Sources) || g.VulnerabilityID != f.VulnerabilityID || g.Vulnerability != f.Vulnerability || g.Severity != f.Severity ||
					g.Package.Name != f.Package.Name || g.Package.Version != f.Package.Version || !g.FirstSeen.Equal(f.FirstSeen) {
					t.Errorf("got %+v, want %+v", g, f)
				}
			}
		}
	})
}

func TestPreview(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, assessments *assess.Service, clock *ticking) {
		known(t, s)
		service := policy.New(s, policy.Options{Now: clock.Now})
		preview := func(registry string, edit func(*policy.Settings)) []string {
			t.Helper()
			found, err := service.Preview(t.Context(), registry, func(s policy.Settings) policy.Settings { edit(&s); return s }, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, p := range found {
				said = append(said, fmt.Sprintf("%s: %d images, %d blocked, then %d: +%d -%d, %v", p.Registry, p.Images, p.BlockedNow, p.BlockedThen, p.NewlyBlocked, p.NewlyPullable, p.Complete))
			}
			return said
		}
		want := func(what string, got []string, want ...string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", what, got, want)
			}
		}
		none := func(*policy.Settings) {}
		strict := func(s *policy.Settings) { s.BlockUnassessedFrom = ptr(policy.Threshold("critical")) }
		want("nothing changes", preview("", none), "main: 2 images, 0 blocked, then 0: +0 -0, true", "main2: 0 images, 0 blocked, then 0: +0 -0, true")
		want("globally", preview("", strict), "main: 2 images, 0 blocked, then 1: +1 -0, true", "main2: 0 images, 0 blocked, then 0: +0 -0, true")
		want("one registry", preview("main", strict), "main: 2 images, 0 blocked, then 1: +1 -0, true")
		want("an analysis is asked for", preview("main", func(s *policy.Settings) { s.RequireAnalysis = ptr(true) }), "main: 2 images, 0 blocked, then 1: +1 -0, true")
		want("coverage is asked for", preview("main", func(s *policy.Settings) { s.RequireCoverage = ptr(policy.KnownCoverage) }), "main: 2 images, 0 blocked, then 2: +2 -0, true")

		mustAssess(t, assessments, everywhere("Block"))
		want("what is assessed is not unassessed", preview("main", strict), "main: 2 images, 1 blocked, then 1: +0 -0, true")
		want("nothing blocks", preview("main", func(s *policy.Settings) { s.Block = &[]string{} }), "main: 2 images, 1 blocked, then 0: +0 -1, true")
		if _, err := service.Except(t.Context(), policy.Exception{Repository: "app", Comment: "why", Author: "ann", ExpiresAt: clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		want("excepted", preview("main", strict), "main: 2 images, 0 blocked, then 0: +0 -0, true")
		var field *assess.FieldError
		if _, err := service.Preview(t.Context(), "main", func(s policy.Settings) policy.Settings { s.Block = &[]string{"x"}; return s }, time.Minute); !errors.As(err, &field) {
			t.Errorf("an unknown type: got %v", err)
		}
		if _, err := service.Preview(t.Context(), "none", func(s policy.Settings) policy.Settings { return s }, time.Minute); !errors.Is(err, policy.ErrNotFound) {
			t.Errorf("no registry: got %v", err)
		}
		own, _, err := service.Policy(t.Context(), "main")
		if err != nil || own.Version != 1 {
			t.Errorf("a preview changed something: %+v, %v", own, err)
		}
	})
}

func TestPlacesIn(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, _ *assess.Service, _ *ticking) {
		s.Exec(t, `insert into manifests (id, repository_id, digest, media_type, size, content, pushed_at) values (9, 2, '`+imageA+`', 'image', 1, '', 0)`)
		var got []string
		for after := (assess.Place{}); ; {
			page, err := s.PlacesIn(t.Context(), "main", after, 1)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			after = page[0]
			got = append(got, after.Registry+"/"+after.Repository+"@"+after.Digest[7:9])
		}
		if want := []string{"main/app@aa", "main/app@bb", "main/team/app@aa"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

var _ policy.GateStore = (*store.Store)(nil)
var _ policy.Store = (*store.Store)(nil)

// TestGateOfTheStore: the gate and its store agree, on both engines.
func TestGateOfTheStore(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, assessments *assess.Service, clock *ticking) {
		known(t, s)
		gate := policy.NewGate(s, policy.GateOptions{Now: clock.Now})
		service := policy.New(s, policy.Options{Now: clock.Now, Changed: gate.Invalidate})
		refused := func(ctx context.Context, digest string) bool {
			t.Helper()
			gate.Invalidate()
			_, err := gate.Check(ctx, policy.Pull{Place: assess.Place{Registry: "main", Repository: "app", Digest: digest}, Tag: "1"})
			var blocked *policy.BlockedError
			if err != nil && !errors.As(err, &blocked) {
				t.Fatal(err)
			}
			return err != nil
		}
		if refused(t.Context(), imageA) || refused(t.Context(), indexC) {
			t.Error("a new registry refuses")
		}
		mustAssess(t, assessments, everywhere("Block"))
		if !refused(t.Context(), imageA) || refused(t.Context(), imageB) || refused(t.Context(), indexC) {
			t.Error("not the image with the finding is refused, or not it alone")
		}
		if _, err := service.Change(t.Context(), "", 0, func(s policy.Settings) policy.Settings { s.RequireAnalysis = ptr(true); return s }); err != nil {
			t.Fatal(err)
		}
		if !refused(t.Context(), imageB) || !refused(t.Context(), indexC) {
			t.Error("an image that is not analysed is served")
		}
		if _, err := service.Except(t.Context(), policy.Exception{Digest: indexC, Comment: "why", Author: "ann", ExpiresAt: clock.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if refused(t.Context(), imageA) || refused(t.Context(), imageB) || refused(t.Context(), indexC) {
			t.Error("the exception of the index does not hold")
		}
		clock.Advance(time.Hour)
		if !refused(t.Context(), imageA) || !refused(t.Context(), indexC) {
			t.Error("the exception outlives its expiry")
		}
	})
}
