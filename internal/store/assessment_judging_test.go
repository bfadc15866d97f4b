package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// court is a store with rules, one image with musl, and a clock.
type court struct {
	*store.Store
	t       *testing.T
	clock   *clock
	service *assess.Service
}

func eachCourt(t *testing.T, test func(c *court)) {
	t.Helper()
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		c := &court{Store: s, t: t, clock: clock, service: assess.New(s, assess.Options{Now: clock.Now})}
		if err := c.service.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		saveImage(t, s, imageA, alpine(musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3")))
		s.Exec(t, `insert into registries (id, name, created_at) values (1, 'main', 0)`,
			`insert into repositories (id, registry_id, name, created_at) values (1, 1, 'app', 0)`,
			`insert into manifests (repository_id, digest, media_type, size, content, pushed_at) values (1, '`+imageA+`', 'image', 1, '', 0)`)
		c.judge()
		test(c)
		if v, err := s.VerifyHistory(t.Context(), assess.Anchor{}); err != nil || len(v.Faults) > 0 {
			t.Errorf("the history is not intact: %v, %v", v.Faults, err)
		}
	})
}

func (c *court) judge() int {
	c.t.Helper()
	c.clock.advance(time.Minute)
	n, err := c.service.JudgeDue(c.t.Context(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *court) rule(name string, r *assess.Rule) {
	c.t.Helper()
	if _, err := c.service.ChangeType(c.t.Context(), name, assess.TypeChange{Rule: &r}, 0); err != nil {
		c.t.Fatal(err)
	}
}

// publish has one advisory on musl.
func (c *court) publish(vulnerability, fixed string, severity advisory.Severity) {
	c.t.Helper()
	g := onMusl(vulnerability, fixed, advisory.Detail{})
	g.Advisories[0].Severity = severity
	publish(c.t, c.Store, "of-"+strings.ToLower(vulnerability), g)
}

func (c *court) assess(vulnerability, typ string, scope assess.Scope) assess.Assessment {
	c.t.Helper()
	c.clock.advance(time.Minute)
	a, err := c.service.Assess(c.t.Context(), assess.Request{Vulnerability: vulnerability, Type: typ, Scope: scope, Author: "ann", Expiry: assess.Expiry{Never: true}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.clock.advance(time.Minute)
	return a
}

// all lists the assessments, the newest first.
func (c *court) all() (lines []string) {
	c.t.Helper()
	list, err := c.service.Assessments(c.t.Context(), assess.Filter{}, false)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, a := range list {
		line := fmt.Sprintf("%s %s %s by %s", a.Vulnerability, a.Type, a.Scope, a.Author)
		if !a.EndedAt.IsZero() {
			line += fmt.Sprintf(", %s by %s: %s", a.EndedReason, a.EndedBy, a.EndedNote)
		}
		lines = append(lines, line)
	}
	return lines
}

func (c *court) check(what string, want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, c.all()); diff != "" {
		c.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRulesJudgeWhatChanged(t *testing.T) {
	eachCourt(t, func(c *court) {
		c.publish("CVE-1", "1.1.18-r4", advisory.Low)
		c.publish("CVE-2", "1.1.18-r4", advisory.High)
		c.judge()
		c.check("no rules")
		c.rule("Ignore", &assess.Rule{SeverityTo: ptr(advisory.Low)})
		if n := c.judge(); n != 2 {
			t := c.t
			t.Errorf("a rule that changed had %d judged, want 2", n)
		}
		c.check("a rule", "CVE-1 Ignore everywhere by rule: Ignore")
		if n := c.judge(); n != 0 {
			c.t.Errorf("nothing changed, and %d were judged", n)
		}
		c.publish("CVE-3", "", advisory.Low)
		publish(c.t, c.Store, "elsewhere", advisory.Group{Part: "all", Name: "x", Advisories: []advisory.Advisory{{
			Vulnerability: "CVE-4", Ecosystem: "alpine:v3.7", Package: "zlib", Source: true, Status: advisory.Affected, Fixed: "2"}}})
		if n := c.judge(); n != 1 {
			c.t.Errorf("one that matters was published, and %d were judged", n)
		}
		c.publish("CVE-1", "1.1.18-r4", advisory.Medium)
		c.judge()
		c.check("severity raised", "CVE-3 Ignore everywhere by rule: Ignore",
			"CVE-1 Ignore everywhere by rule: Ignore, rule ended by system: the rule of Ignore does not match any more")
		saveImage(c.t, c.Store, imageB, alpine(musl("musl", "1.1.18-r3")))
		if n := c.judge(); n != 0 {
			c.t.Errorf("an image of known packages had %d judged", n)
		}
		saveImage(c.t, c.Store, indexC, alpine(musl("musl", "1.1.18-r2")))
		if n := c.judge(); n != 3 {
			c.t.Errorf("an image with another version had %d judged, want 3", n)
		}
	})
}

func TestPeopleComeBeforeRules(t *testing.T) {
	eachCourt(t, func(c *court) {
		c.publish("CVE-1", "", advisory.Low)
		c.rule("Ignore", &assess.Rule{SeverityTo: ptr(advisory.Low)})
		c.judge()
		a := c.assess("CVE-1", "Caution", assess.Scope{Kind: assess.Registry, Value: "main"})
		decisions, err := c.LiveDecisions(c.t.Context(), []int64{a.VulnerabilityID}, nil, c.clock.Now())
		if err != nil || len(decisions) != 2 {
			c.t.Fatalf("%v, %v", decisions, err)
		}
		states, err := c.VulnerabilityStates(c.t.Context(), []int64{a.VulnerabilityID}, c.clock.Now())
		if err != nil || fmt.Sprint(states[a.VulnerabilityID]) != "[Caution]" {
			c.t.Errorf("got %v, %v", states, err)
		}
		// The same scope, and then nothing: the rule does not come back.
		b := c.assess("CVE-1", "Block", assess.Scope{Kind: assess.Everywhere})
		if _, err := c.service.Withdraw(c.t.Context(), b.ID, "ann", 0); err != nil {
			c.t.Fatal(err)
		}
		c.rule("Ignore", &assess.Rule{SeverityTo: ptr(advisory.Medium)})
		c.judge()
		c.check("withdrawn", "CVE-1 Block everywhere by ann, withdrawn by ann: ", "CVE-1 Caution registry main by ann",
			"CVE-1 Ignore everywhere by rule: Ignore, superseded by ann: ")
	})
}

func TestRulesOnPathsAndScores(t *testing.T) {
	eachCourt(t, func(c *court) {
		c.publish("CVE-1", "", advisory.Low)
		c.rule("Ignore", &assess.Rule{Paths: []string{"lib/apk/**"}})
		c.judge()
		c.check("paths", "CVE-1 Ignore everywhere by rule: Ignore")
		moved := musl("musl", "1.1.18-r3")
		moved.Path = "srv/musl"
		saveImage(c.t, c.Store, imageB, alpine(moved))
		if n := c.judge(); n != 1 {
			c.t.Errorf("a known package at another path had %d judged, want 1", n)
		}
		// In another package nothing changed.
		c.check("another path", "CVE-1 Ignore package musl-utils by rule: Ignore",
			"CVE-1 Ignore everywhere by rule: Ignore, rule ended by system: rules do not judge all of its packages alike any more")
		c.rule("Ignore", nil)
		c.rule("Block", &assess.Rule{EPSSFrom: ptr(0.5)})
		c.judge()
		score := func(p float64) int {
			if _, _, err := c.ReplaceScores(c.t.Context(), []feed.Score{{CVE: "CVE-1", Probability: p, Percentile: p}, {CVE: "CVE-9", Probability: p, Percentile: p}}); err != nil {
				c.t.Fatal(err)
			}
			return c.judge()
		}
		if n := score(0.4); n != 0 {
			c.t.Errorf("a score below the rule's had %d judged", n)
		}
		if n := score(0.6); n != 1 {
			c.t.Errorf("a score above the rule's had %d judged, want 1", n)
		}
		if n := score(0.7); n != 0 {
			c.t.Errorf("a score that passed no limit had %d judged", n)
		}
		score(0.1)
		if got := c.all()[0]; !strings.HasPrefix(got, "CVE-1 Block everywhere by rule: Block, rule ended by system") {
			c.t.Errorf("got %s", got)
		}
	})
}

func TestReopening(t *testing.T) {
	everywhere := assess.Scope{Kind: assess.Everywhere}
	image := assess.Scope{Kind: assess.Image, Value: imageA}
	kev := func(c *court) {
		publish(c.t, c.Store, "kev", advisory.Group{Part: "all", Name: "kev", Details: map[string]advisory.Detail{"CVE-1": {Exploited: &advisory.Exploitation{Added: newClock().Now()}}}})
	}
	for _, test := range []struct {
		name   string
		typ    string
		scope  assess.Scope
		happen func(c *court)
		want   string
	}{
		{"a fix", "Ignore", everywhere, func(c *court) { c.publish("CVE-1", "1.1.18-r4", advisory.Low) }, "fix available by system: musl 1.1.18-r3: fixed in 1.1.18-r4"},
		{"a fix in the image", "Ignore", image, func(c *court) { c.publish("CVE-1", "1.1.18-r4", advisory.Low) }, "fix available by system: musl 1.1.18-r3: fixed in 1.1.18-r4"},
		{"a fix in the registry", "Ignore", assess.Scope{Kind: assess.Registry, Value: "main"}, func(c *court) { c.publish("CVE-1", "1.1.18-r4", advisory.Low) },
			"fix available by system: musl 1.1.18-r3: fixed in 1.1.18-r4"},
		{"a fix elsewhere", "Ignore", assess.Scope{Kind: assess.Package, Value: "zlib"}, func(c *court) { c.publish("CVE-1", "1.1.18-r4", advisory.Low) }, ""},
		{"a severity", "Caution", everywhere, func(c *court) { c.publish("CVE-1", "", advisory.High) }, "severity raised by system: the severity in musl rose to high"},
		{"a lower severity", "Caution", everywhere, func(c *court) { c.publish("CVE-1", "", advisory.Negligible) }, ""},
		{"exploited", "Ignore", everywhere, kev, "exploited by system: CVE-1 came on a list of exploited vulnerabilities"},
		{"a type that is not reopened", "Block", everywhere, kev, ""},
		{"a new package with a fix", "Ignore", everywhere, func(c *court) {
			saveImage(c.t, c.Store, imageB, alpine(musl("musl", "1.1.18-r2")))
		}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachCourt(t, func(c *court) {
				zlib := musl("zlib", "1")
				zlib.SourceName = "zlib"
				saveImage(t, c.Store, indexC, alpine(zlib))
				c.publish("CVE-1", "", advisory.Low)
				c.judge()
				c.assess("CVE-1", test.typ, test.scope)
				c.judge()
				test.happen(c)
				c.judge()
				want := fmt.Sprintf("CVE-1 %s %s by ann", test.typ, test.scope)
				if test.want != "" {
					want += ", " + test.want
				}
				c.check("afterwards", want)
			})
		})
	}
}

func TestTypesAreReplaced(t *testing.T) {
	eachCourt(t, func(c *court) {
		ctx := c.t.Context()
		c.publish("CVE-1", "", advisory.Low)
		c.publish("CVE-2", "", advisory.High)
		c.assess("CVE-1", "Caution", assess.Scope{Kind: assess.Everywhere})
		c.Exec(c.t, `update registries set policy = '{"block":["Caution","Block"],"block_unassessed_from":null,"grace_hours":0}'`)
		c.rule("Caution", &assess.Rule{SeverityFrom: ptr(advisory.High)})
		c.judge()
		name := "Careful"
		renamed, err := c.service.ChangeType(ctx, "Caution", assess.TypeChange{Name: &name}, 0)
		if err != nil {
			c.t.Fatal(err)
		}
		policy := func(want string) {
			c.t.Helper()
			if p, err := c.RegistryPolicy(ctx, "main"); err != nil || fmt.Sprint(p.Block) != want {
				c.t.Errorf("policy %v, %v, want %s", p.Block, err, want)
			}
		}
		policy("[Careful Block]")
		if _, err := c.service.ChangeType(ctx, "Careful", assess.TypeChange{Name: &name}, renamed.Version-1); !errors.Is(err, assess.ErrChanged) {
			c.t.Errorf("a change on an old version: %v", err)
		}
		taken := "Block"
		if _, err := c.service.ChangeType(ctx, "Careful", assess.TypeChange{Name: &taken}, 0); !errors.Is(err, assess.ErrExists) {
			c.t.Errorf("a name that is taken: %v", err)
		}
		err = c.service.DeleteType(ctx, "Careful", "", "ann", 0)
		if !errors.Is(err, assess.ErrInUse) || !strings.Contains(err.Error(), "1 live assessments, 1 policies") {
			c.t.Errorf("in use: %v", err)
		}
		if err := c.service.DeleteType(ctx, "Ignore", "", "ann", 0); !errors.Is(err, assess.ErrInUse) {
			c.t.Errorf("what VEX becomes: %v", err)
		}
		var field *assess.FieldError
		if err := c.service.DeleteType(ctx, "Ignore", "Block", "ann", 0); !errors.As(err, &field) || field.Field != "replace_by" {
			c.t.Errorf("VEX would block: %v", err)
		}
		if err := c.service.DeleteType(ctx, "Careful", "Block", "ann", 0); err != nil {
			c.t.Fatal(err)
		}
		policy("[Block]")
		c.check("replaced", "CVE-2 Careful everywhere by rule: Caution, rule ended by ann: its type was deleted", "CVE-1 Block everywhere by ann")
		types, err := c.service.Types(ctx)
		if err != nil || len(types) != 2 {
			c.t.Fatalf("%v, %v", types, err)
		}
		if _, err := c.service.OrderTypes(ctx, []string{"Block"}); !errors.As(err, &field) || field.Field != "names" {
			c.t.Errorf("an order that lacks one: %v", err)
		}
		if types, err = c.service.OrderTypes(ctx, []string{"Block", "Ignore"}); err != nil || types[0].Name != "Block" {
			c.t.Errorf("%v, %v", types, err)
		}
		again, err := c.service.CreateType(ctx, assess.Type{Name: "Careful", Color: "#112233", Enabled: true})
		if err != nil || again.ID != renamed.ID || again.Color != "#112233" || again.Rule != nil {
			c.t.Errorf("one that was deleted, again: %+v, %v", again, err)
		}
	})
}

func TestHistoryTellsWhatWasTamperedWith(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper string
		want   string
	}{
		{"an event changed", `update assessment_events set actor = 'eve' where id = 2`, "event 2 on assessment 1, edited by eve, is not as it was written"},
		{"an event taken away", `delete from assessment_events where id = 2`, "events 2 to 2 are missing"},
		{"the last taken away", `delete from assessment_events where id = 3`, "the history ends with event 2, and should with event 3"},
		{"an assessment changed", `update assessments set comment = 'harmless' where id = 1`, "assessment 1, on CVE-1: its comment is not what the history says"},
		{"an assessment revived", `update assessments set ended_at = null, ended_by = '', ended_reason = ''`, "assessment 1, on CVE-1: its end is not what the history says"},
		{"an assessment slipped in", `insert into assessments (vulnerability_id, type_id, scope_kind, author, created_at)
			select vulnerability_id, type_id, 'everywhere', 'ann', 0 from assessments`, "assessment 2 is not in the history"},
		{"all computed anew", `update assessment_chain set length = 2`, "the history has 2 events, fewer than the 3 that were noted"},
	} {
		t.Run(test.name, func(t *testing.T) {
			clock := newClock()
			storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
				harbour(t, s)
				ctx := t.Context()
				service := assess.New(s, assess.Options{Now: clock.Now})
				a := mustAssess(t, service, everywhere("Block"))
				clock.advance(time.Hour)
				words := "second thoughts"
				edited, err := service.Edit(ctx, a.ID, assess.Edit{Comment: &words, Expiry: &assess.Expiry{At: clock.Now().Add(time.Hour)}, By: "bob", Version: a.Version})
				if err != nil || edited.Comment != words || edited.Version != 2 {
					t.Fatalf("%+v, %v", edited, err)
				}
				if _, err := service.Edit(ctx, a.ID, assess.Edit{Comment: &words, By: "cat", Version: a.Version}); !errors.Is(err, assess.ErrChanged) {
					t.Errorf("an edit on an old version: %v", err)
				}
				clock.advance(2 * time.Hour)
				if _, err := service.Expire(ctx); err != nil {
					t.Fatal(err)
				}
				if _, err := service.Edit(ctx, a.ID, assess.Edit{Comment: &words, By: "cat"}); !errors.Is(err, assess.ErrEnded) {
					t.Errorf("an edit when it has ended: %v", err)
				}
				events, err := service.Events(ctx, assess.EventFilter{VulnerabilityID: a.VulnerabilityID, Limit: 10})
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				for _, e := range events {
					said = append(said, fmt.Sprintf("%s by %s", e.Action, e.Actor))
				}
				if diff := cmp.Diff([]string{"ended by system", "edited by bob", "created by ann"}, said); diff != "" {
					t.Errorf("events (-want +got):\n%s", diff)
				}
				intact, err := service.Verify(ctx, assess.Anchor{})
				if err != nil || len(intact.Faults) > 0 || intact.Events != 3 || intact.Assessments != 1 {
					t.Fatalf("%+v, %v", intact, err)
				}
				noted := assess.Anchor{Events: intact.Events, Head: intact.Head}
				if v, err := service.Verify(ctx, noted); err != nil || len(v.Faults) > 0 {
					t.Errorf("what was noted: %+v, %v", v, err)
				}
				s.Exec(t, test.tamper)
				found, err := service.Verify(ctx, noted)
				if err != nil || len(found.Faults) == 0 || !strings.Contains(strings.Join(found.Faults, "\n"), test.want) {
					t.Errorf("got %q, %v, want %s", found.Faults, err, test.want)
				}
			})
		})
	}
}
