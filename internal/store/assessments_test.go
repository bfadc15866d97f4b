package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

var assessNoon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

const (
	imageA    = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	imageB    = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	indexC    = "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
	artifactD = "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"
)

// harbour holds two registries, three repositories, two images, an index of
// both, an artifact, two vulnerabilities and the default assessment types.
func harbour(t *testing.T, s *store.Store) {
	t.Helper()
	manifest := `insert into manifests (id, repository_id, digest, media_type, size, content, pushed_at) values `
	s.Exec(t,
		`insert into registries (id, name, created_at) values (1, 'main', 0), (2, 'main2', 0)`,
		`insert into repositories (id, registry_id, name, created_at) values (1, 1, 'app', 0), (2, 1, 'team/app', 0), (3, 2, 'app', 0)`,
		manifest+`(1, 1, '`+imageA+`', 'image', 1, '', 0), (2, 1, '`+imageB+`', 'image', 1, '', 0), (3, 1, '`+indexC+`', 'index', 1, '', 0),
			(4, 1, '`+artifactD+`', 'artifact', 1, '', 0)`,
		`insert into manifest_references (manifest_id, kind, position, digest) values (3, 'manifest', 0, '`+imageB+`'), (3, 'manifest', 1, '`+imageA+`'),
			(3, 'manifest', 2, '`+artifactD+`')`,
		`insert into images (id, digest, media_type, state, created_at) values (1, '`+imageA+`', 'image', 'pending', 0), (2, '`+imageB+`', 'image', 'pending', 0)`,
		`insert into packages (id, type, distribution, name, version) values (1, 'apk', 'alpine:v3.7', 'musl', '1')`,
		`insert into vulnerabilities (id, name, first_seen) values (1, 'CVE-1', 0), (2, 'CVE-2', 0)`,
	)
	if err := s.SeedAssessmentTypes(t.Context(), assess.DefaultTypes()); err != nil {
		t.Fatal(err)
	}
}

// ticking is a clock that moves only when told to.
type ticking struct {
	mu  sync.Mutex
	now time.Time
}

func (c *ticking) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *ticking) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// eachHarbour runs test on each engine with a fresh harbour and a clock at noon.
func eachHarbour(t *testing.T, test func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking)) {
	t.Helper()
	clock := &ticking{now: assessNoon}
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		clock.Advance(assessNoon.Sub(clock.Now()))
		harbour(t, s)
		test(t, s, assess.New(s, assess.Options{Now: clock.Now}), clock)
	})
}

func everywhere(typ string) assess.Request {
	return assess.Request{Vulnerability: "CVE-1", Type: typ, Scope: assess.Scope{Kind: assess.Everywhere}, Author: "ann", Expiry: assess.Expiry{Never: true}}
}

func mustAssess(t *testing.T, service *assess.Service, r assess.Request) assess.Assessment {
	t.Helper()
	a, err := service.Assess(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAssessmentTypesAreSeededOnce(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		days := 7
		if _, err := service.ChangeType(t.Context(), "Caution", assess.TypeChange{ExpiryDays: &days}, 0); err != nil {
			t.Fatal(err)
		}
		if err := service.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := assess.DefaultTypes()
		want[1].ExpiryDays, want[1].Version = 7, 2
		got, err := service.Types(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(assess.Type{}, "ID")); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		blocking := 0
		for _, typ := range got {
			if typ.Blocks {
				blocking++
			}
		}
		if blocking != 1 {
			t.Errorf("%d types block, want Block alone", blocking)
		}
	})
}

func TestAssessmentTypesAreCheckedAndUnique(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		good := assess.Type{Name: "Later", Color: "#00ff00", Blocks: true, ExpiryDays: 5, Position: 9}
		for _, test := range []struct {
			name  string
			with  func(*assess.Type)
			field string
		}{
			{"no name", func(t *assess.Type) { t.Name = "" }, "name"},
			{"spaces around", func(t *assess.Type) { t.Name = " x" }, "name"},
			{"the word for none", func(t *assess.Type) { t.Name = "Unassessed" }, "name"},
			{"long name", func(t *assess.Type) { t.Name = strings.Repeat("x", 65) }, "name"},
			{"colour by name", func(t *assess.Type) { t.Color = "green" }, "color"},
			{"negative expiry", func(t *assess.Type) { t.ExpiryDays = -1 }, "expiry_days"},
			{"long description", func(t *assess.Type) { t.Description = strings.Repeat("x", 1001) }, "description"},
		} {
			typ := good
			test.with(&typ)
			var field *assess.FieldError
			if _, err := service.CreateType(t.Context(), typ); !errors.As(err, &field) || field.Field != test.field {
				t.Errorf("%s: got %v, want an error of %s", test.name, err, test.field)
			}
		}
		if _, err := service.CreateType(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		if _, err := service.CreateType(t.Context(), good); !errors.Is(err, assess.ErrExists) {
			t.Errorf("twice: got %v, want %v", err, assess.ErrExists)
		}
		if _, err := service.ChangeType(t.Context(), "Sooner", assess.TypeChange{}, 0); !errors.Is(err, assess.ErrNotFound) {
			t.Errorf("unknown: got %v, want %v", err, assess.ErrNotFound)
		}
	})
}

func TestAssessSaysWhatIsWrong(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		scope := func(kind assess.ScopeKind, value string) func(*assess.Request) {
			return func(r *assess.Request) { r.Scope = assess.Scope{Kind: kind, Value: value} }
		}
		for _, test := range []struct {
			name string
			with func(*assess.Request)
			want string
		}{
			{"no vulnerability", func(r *assess.Request) { r.Vulnerability = "" }, `vulnerability: is wanted`},
			{"unknown vulnerability", func(r *assess.Request) { r.Vulnerability = "CVE-0" }, `vulnerability: "CVE-0" is not known`},
			{"unknown type", func(r *assess.Request) { r.Type = "block" }, `type: "block" is not one of Ignore, Caution, Block`},
			{"unknown kind", scope("galaxy", ""), `scope.kind: "galaxy" is not one of everywhere, registry, repository, image, package`},
			{"no kind", scope("", ""), `scope.kind: "" is not one of everywhere, registry, repository, image, package`},
			{"a value everywhere", scope(assess.Everywhere, "main"), `scope.value: must be empty where the kind is everywhere`},
			{"no value", scope(assess.Registry, ""), `scope.value: a registry is wanted`},
			{"unknown registry", scope(assess.Registry, "prod"), `scope.value: there is no registry prod`},
			{"a repository as registry", scope(assess.Registry, "main/app"), `scope.value: "main/app" is not the name of a registry`},
			{"unknown repository", scope(assess.Repository, "main2/team/app"), `scope.value: there is no repository main2/team/app`},
			{"a registry as repository", scope(assess.Repository, "main"), `scope.value: "main" is not REGISTRY/REPOSITORY`},
			{"unknown image", scope(assess.Image, "sha256:0"+imageA[8:]), `scope.value: there is no image sha256:0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`},
			{"an index", scope(assess.Image, indexC), `scope.value: there is no image ` + indexC},
			{"not a digest", scope(assess.Image, "latest"), `scope.value: "latest" is not a digest: invalid checksum digest format`},
			{"unknown package", scope(assess.Package, "mussel"), `scope.value: there is no package mussel`},
			{"an end in the past", func(r *assess.Request) { r.Expiry = assess.Expiry{At: assessNoon.Add(-time.Hour)} }, `expires_at: 2026-11-24T11:00:00Z is not in the future`},
			{"an end now", func(r *assess.Request) { r.Expiry = assess.Expiry{At: assessNoon} }, `expires_at: 2026-11-24T12:00:00Z is not in the future`},
			{"a long comment", func(r *assess.Request) { r.Comment = strings.Repeat("é", 10_001) }, `comment: is longer than 10000 characters`},
			{"a null character", func(r *assess.Request) { r.Comment = "a\x00b" }, `comment: must not contain null characters`},
		} {
			r := everywhere("Block")
			test.with(&r)
			_, err := service.Assess(t.Context(), r)
			var field *assess.FieldError
			if !errors.As(err, &field) || field.Error() != test.want {
				t.Errorf("%s: got %v, want %s", test.name, err, test.want)
			}
		}
		if list, err := service.Assessments(t.Context(), assess.Filter{}, false); err != nil || len(list) != 0 {
			t.Errorf("got %d assessments (%v), want none to be left behind", len(list), err)
		}
	})
}

func TestExpiryComesFromTheRequestOrTheType(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		for _, test := range []struct {
			name   string
			typ    string
			expiry assess.Expiry
			want   time.Time
		}{
			{"a type's default", "Ignore", assess.Expiry{}, assessNoon.AddDate(0, 0, 90)},
			{"a type without", "Block", assess.Expiry{}, time.Time{}},
			{"never", "Ignore", assess.Expiry{Never: true}, time.Time{}},
			{"a time", "Ignore", assess.Expiry{At: assessNoon.Add(time.Second)}, assessNoon.Add(time.Second)},
			{"a time elsewhere", "Block", assess.Expiry{At: assessNoon.Add(time.Hour).In(time.FixedZone("", 3600))}, assessNoon.Add(time.Hour)},
		} {
			r := everywhere(test.typ)
			r.Expiry = test.expiry
			a := mustAssess(t, service, r)
			kept, err := service.Assessment(t.Context(), a.ID)
			if err != nil {
				t.Fatal(err)
			}
			if !kept.ExpiresAt.Equal(test.want) {
				t.Errorf("%s: got %s, want %s", test.name, kept.ExpiresAt, test.want)
			}
			if diff := cmp.Diff(a, kept); diff != "" {
				t.Errorf("%s: returned and kept differ (-returned +kept):\n%s", test.name, diff)
			}
		}
	})
}

func TestHistoryIsKept(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		first := everywhere("Ignore")
		first.Comment, first.Expiry = "first", assess.Expiry{At: assessNoon.Add(time.Hour)}
		mustAssess(t, service, first)
		clock.Advance(time.Minute)
		second := everywhere("Caution")
		second.Author, second.Expiry = "bob", assess.Expiry{At: assessNoon.Add(2 * time.Hour)}
		mustAssess(t, service, second)
		clock.Advance(3 * time.Hour) // the second has expired, and no job has run
		third := everywhere("Block")
		third.Author = "cat"
		id := mustAssess(t, service, third).ID
		clock.Advance(time.Minute)
		if _, err := service.Withdraw(t.Context(), id, "dan", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Withdraw(t.Context(), id, "eve", 0); !errors.Is(err, assess.ErrEnded) {
			t.Errorf("withdrawn twice: got %v, want %v", err, assess.ErrEnded)
		}
		if _, err := service.Withdraw(t.Context(), 999, "eve", 0); !errors.Is(err, assess.ErrNotFound) {
			t.Errorf("unknown: got %v, want %v", err, assess.ErrNotFound)
		}
		list, err := service.Assessments(t.Context(), assess.Filter{Vulnerability: "CVE-1"}, false)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range list {
			got = append(got, fmt.Sprintf("%s by %s %q, %s by %s at %s", a.Type, a.Author, a.Comment, a.EndedReason, a.EndedBy, a.EndedAt.Format("15:04")))
		}
		want := []string{
			`Block by cat "", withdrawn by dan at 15:02`,
			`Caution by bob "", expired by system at 14:00`,
			`Ignore by ann "first", superseded by bob at 12:01`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
	})
}

func TestExpiryIsEffectiveBeforeTheJobAndEndedByIt(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		r := everywhere("Block")
		r.Expiry = assess.Expiry{At: assessNoon.Add(time.Hour)}
		a := mustAssess(t, service, r)
		live := func() int {
			t.Helper()
			decisions, err := s.LiveDecisions(t.Context(), []int64{a.VulnerabilityID}, nil, clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			list, err := service.Assessments(t.Context(), assess.Filter{}, true)
			if err != nil {
				t.Fatal(err)
			}
			if len(list) != len(decisions) {
				t.Errorf("%d are listed as live, %d decide", len(list), len(decisions))
			}
			return len(decisions)
		}
		clock.Advance(time.Hour - time.Microsecond)
		if live() != 1 {
			t.Error("it ends before its expiry")
		}
		if ended, err := service.Expire(t.Context()); err != nil || len(ended) != 0 {
			t.Errorf("before its expiry the job ended %d (%v)", len(ended), err)
		}
		clock.Advance(time.Microsecond)
		if live() != 0 {
			t.Error("it holds at its expiry")
		}
		if _, err := service.Withdraw(t.Context(), a.ID, "ann", 0); !errors.Is(err, assess.ErrEnded) {
			t.Errorf("withdrawn when expired: got %v, want %v", err, assess.ErrEnded)
		}
		before, err := service.Assessment(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Hour)
		ended, err := service.Expire(t.Context())
		if err != nil || len(ended) != 1 {
			t.Fatalf("the job ended %d (%v), want 1", len(ended), err)
		}
		if diff := cmp.Diff(before, ended[0]); diff != "" {
			t.Errorf("the job says something else than was seen before it (-before +job):\n%s", diff)
		}
		if !ended[0].EndedAt.Equal(assessNoon.Add(time.Hour)) || ended[0].EndedReason != assess.Expired {
			t.Errorf("ended %s at %s, want expired at its expiry", ended[0].EndedReason, ended[0].EndedAt)
		}
	})
}

func TestExpireEndsMoreThanABatch(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, clock *ticking) {
		s.Exec(t, `insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, author, created_at, expires_at)
			select 1, (select min(id) from assessment_types), 'package', 'p' || n, 'ann', 0, 1
			from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 1200) select n from c) numbers`)
		ended, err := service.Expire(t.Context())
		if err != nil || len(ended) != 1200 {
			t.Errorf("the job ended %d (%v), want 1200", len(ended), err)
		}
	})
}

func TestRivalsSupersedeOneAnother(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		var rivals sync.WaitGroup
		for i := range 8 {
			rivals.Go(func() {
				r := everywhere("Block")
				r.Author = fmt.Sprint("rival ", i)
				if _, err := service.Assess(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		rivals.Wait()
		for _, test := range []struct {
			live bool
			want int
		}{{true, 1}, {false, 8}} {
			list, err := service.Assessments(t.Context(), assess.Filter{}, test.live)
			if err != nil || len(list) != test.want {
				t.Errorf("live %t: got %d (%v), want %d", test.live, len(list), err, test.want)
			}
		}
	})
}

func TestScopeEndsWithWhatItNames(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		for _, scope := range []assess.Scope{
			{Kind: assess.Everywhere}, {Kind: assess.Registry, Value: "main"}, {Kind: assess.Registry, Value: "main2"},
			{Kind: assess.Repository, Value: "main/app"}, {Kind: assess.Repository, Value: "main/team/app"}, {Kind: assess.Repository, Value: "main2/app"},
		} {
			r := everywhere("Block")
			r.Scope = scope
			mustAssess(t, service, r)
		}
		live := func(want ...string) {
			t.Helper()
			list, err := service.Assessments(t.Context(), assess.Filter{}, true)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range list {
				got = append(got, a.Scope.String())
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("live (-want +got):\n%s", diff)
			}
		}
		if err := s.EndAssessmentsUnder(t.Context(), "main", "team/app", "ann"); err != nil {
			t.Fatal(err)
		}
		live("repository main2/app", "repository main/app", "registry main2", "registry main", "everywhere")
		if err := s.EndAssessmentsUnder(t.Context(), "main", "", "ann"); err != nil {
			t.Fatal(err)
		}
		live("repository main2/app", "registry main2", "everywhere")
		ended, err := service.Assessments(t.Context(), assess.Filter{Scope: assess.Scope{Kind: assess.Registry, Value: "main"}}, false)
		if err != nil || len(ended) != 1 || ended[0].EndedReason != assess.ScopeDeleted || ended[0].EndedBy != "ann" {
			t.Errorf("got %+v (%v), want one ended with its scope by ann", ended, err)
		}
	})
}

func TestAssessmentsAreFilteredAndPaged(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		add := func(vulnerability, typ string, kind assess.ScopeKind, value string) int64 {
			return mustAssess(t, service, assess.Request{Vulnerability: vulnerability, Type: typ, Author: "ann",
				Scope: assess.Scope{Kind: kind, Value: value}}).ID
		}
		a := add("CVE-1", "Ignore", assess.Everywhere, "")
		b := add("CVE-2", "Block", assess.Registry, "main")
		c := add("CVE-1", "Block", assess.Registry, "main2")
		d := add("CVE-1", "Caution", assess.Package, "musl")
		list, err := service.Assessments(t.Context(), assess.Filter{}, true)
		if err != nil {
			t.Fatal(err)
		}
		at := make(map[int64]*assess.Cursor)
		for _, one := range list {
			cursor := one.Cursor()
			at[one.ID] = &cursor
		}
		for _, test := range []struct {
			name   string
			filter assess.Filter
			want   []int64
		}{
			{"all", assess.Filter{}, []int64{d, c, b, a}},
			{"vulnerability", assess.Filter{Vulnerability: "CVE-1"}, []int64{d, c, a}},
			{"type", assess.Filter{Type: "Block"}, []int64{c, b}},
			{"kind", assess.Filter{Scope: assess.Scope{Kind: assess.Registry}}, []int64{c, b}},
			{"scope", assess.Filter{Scope: assess.Scope{Kind: assess.Registry, Value: "main"}}, []int64{b}},
			{"first page", assess.Filter{Limit: 2}, []int64{d, c}},
			{"second page", assess.Filter{Limit: 2, Before: c}, []int64{b, a}},
			{"past the end", assess.Filter{Before: a}, nil},
			{"the oldest", assess.Filter{Ascending: true, Limit: 2}, []int64{a, b}},
			{"after them", assess.Filter{Ascending: true, After: at[b]}, []int64{c, d}},
			{"the newest, after one", assess.Filter{After: at[c]}, []int64{b, a}},
			{"what expires next", assess.Filter{Sort: assess.ByExpiry, Ascending: true}, []int64{d, a, b, c}},
			{"after what expires next", assess.Filter{Sort: assess.ByExpiry, Ascending: true, After: at[d]}, []int64{a, b, c}},
			{"after one that never expires", assess.Filter{Sort: assess.ByExpiry, Ascending: true, After: at[b]}, []int64{c}},
			{"what never expires, first", assess.Filter{Sort: assess.ByExpiry, Limit: 1}, []int64{b}},
			{"by vulnerability", assess.Filter{Sort: assess.ByVulnerability, Ascending: true}, []int64{a, c, d, b}},
			{"after one of them", assess.Filter{Sort: assess.ByVulnerability, Ascending: true, After: at[c]}, []int64{d, b}},
			{"from the last name", assess.Filter{Sort: assess.ByVulnerability}, []int64{b, a, c, d}},
		} {
			list, err := service.Assessments(t.Context(), test.filter, true)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, a := range list {
				got = append(got, a.ID)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
	})
}

func TestAssessmentListsWhenThereAreMany(t *testing.T) {
	eachHarbour(t, func(t *testing.T, s *store.Store, service *assess.Service, _ *ticking) {
		s.Exec(t, `insert into vulnerabilities (id, name, first_seen)
			select 10 + n, 'V-' || n, 0 from (with recursive c (n) as (select 1 union all select n + 1 from c where n < 1000) select n from c) numbers`,
			`insert into assessments (vulnerability_id, type_id, scope_kind, scope_value, author, created_at)
			select 11 + n % 1000, (select min(id) from assessment_types), 'package', 'p' || (n / 1000), 'ann', 0
			from (with recursive c (n) as (select 0 union all select n + 1 from c where n < 99999) select n from c) numbers`)
		for _, test := range []struct {
			name   string
			filter assess.Filter
			want   int
		}{
			{"all", assess.Filter{}, 100},
			{"vulnerability", assess.Filter{Vulnerability: "V-500"}, 100},
			{"type that is rare", assess.Filter{Type: "Block"}, 0},
			{"scope", assess.Filter{Scope: assess.Scope{Kind: assess.Package, Value: "p50"}}, 100},
			{"kind that is rare", assess.Filter{Scope: assess.Scope{Kind: assess.Image}}, 0},
		} {
			test.filter.Limit = 100
			list, err := service.Assessments(t.Context(), test.filter, true)
			if err != nil || len(list) != test.want {
				t.Errorf("%s: got %d (%v), want %d", test.name, len(list), err, test.want)
			}
		}
	})
}
