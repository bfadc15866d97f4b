package retention_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.AddDate(0, 0, -days) }

// held reads "digest@days tag@days,… <children of:digest>": what a repository holds.
// After ! is how many days ago it was pulled.
func held(lines ...string) retention.Repository {
	r := retention.Repository{Name: "team/app"}
	days := func(text string) (time.Time, time.Time) {
		text, last, pulled := strings.Cut(text, "!")
		age, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		if !pulled {
			return ago(age), time.Time{}
		}
		n, err := strconv.Atoi(last)
		if err != nil {
			panic(err)
		}
		return ago(age), ago(n)
	}
	for _, line := range lines {
		fields := strings.Fields(line)
		var m retention.Manifest
		name, rest, _ := strings.Cut(fields[0], "@")
		m.Digest = name
		m.PushedAt, m.PulledAt = days(rest)
		for _, f := range fields[1:] {
			switch kind, value, found := strings.Cut(f, ":"); {
			case found && kind == "lists":
				m.Children = strings.Split(value, ",")
			case found && kind == "about":
				m.Subject = value
			default:
				tag, age, _ := strings.Cut(f, "@")
				set, pulled := days(age)
				m.Tags = append(m.Tags, retention.Tag{Name: tag, SetAt: set, PulledAt: pulled})
			}
		}
		r.Manifests = append(r.Manifests, m)
	}
	return r
}

func words(plan []retention.Deletion) string {
	var list []string
	for _, d := range plan {
		if d.Tag != "" {
			list = append(list, d.Tag)
		} else {
			list = append(list, "["+d.Digest+"]")
		}
	}
	return strings.Join(list, " ")
}

func TestPlan(t *testing.T) {
	for _, tt := range []struct {
		what  string
		rules retention.Rules
		own   registry.Rules
		kept  string
		has   []string
		want  string
	}{
		{"no rule", retention.Rules{}, registry.Rules{}, "", []string{"a@900 1@900", "b@900"}, ""},
		{"the last two", retention.Rules{KeepLast: 2}, registry.Rules{}, "", []string{"a@9 1@9", "b@8 2@8", "c@7 3@7", "d@6 4@6"}, "1 2 [a] [b]"},
		{"by when they were set, not pushed", retention.Rules{KeepLast: 1}, registry.Rules{}, "", []string{"a@9 1@1", "b@8 2@8"}, "2 [b]"},
		{"by age", retention.Rules{KeepDays: 30}, registry.Rules{}, "", []string{"a@40 1@40", "b@29 2@29"}, "1 [a]"},
		{"both keep", retention.Rules{KeepLast: 1, KeepDays: 30}, registry.Rules{}, "", []string{"a@50 1@50", "b@40 2@40", "c@20 3@20"}, "1 2 [a] [b]"},
		{"the last stays at any age", retention.Rules{KeepLast: 1, KeepDays: 30}, registry.Rules{}, "", []string{"a@50 1@50", "b@40 2@40"}, "1 [a]"},
		{"a manifest with another tag stays", retention.Rules{KeepLast: 1}, registry.Rules{}, "", []string{"a@9 1@9 3@1", "b@8 2@8"}, "1 2 [b]"},
		{"patterns", retention.Rules{KeepDays: 1, Tags: []string{"pr-*"}, Except: []string{"pr-1"}}, registry.Rules{}, "", []string{"a@9 pr-1@9", "b@9 pr-2@9", "c@9 1@9"}, "pr-2 [b]"},
		{"another repository", retention.Rules{KeepDays: 1, Repositories: []string{"other/*"}}, registry.Rules{}, "", []string{"a@9 1@9"}, ""},
		{"a pattern over slashes", retention.Rules{KeepDays: 1, Repositories: []string{"te*"}}, registry.Rules{}, "", []string{"a@9 1@9"}, "1 [a]"},
		{"immutable tags stay", retention.Rules{KeepDays: 1}, registry.Rules{ImmutableTags: []string{"v*"}}, "", []string{"a@9 v1@9", "b@9 1@9"}, "1 [b]"},
		{"tags that follow do not count", retention.Rules{KeepLast: 1}, registry.Rules{VersionTags: true}, "", []string{"a@9 1.0.0@9 1.0@9", "b@8 1.1.0@8 1.1@8 1@8 latest@8"}, "1.0.0 [a]"},
		{"excepted by policy", retention.Rules{KeepDays: 1}, registry.Rules{}, "a", []string{"a@9 1@9", "b@9 2@9"}, "2 [b]"},
		{"untagged", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"a@9", "b@6", "c@9 1@9"}, "[a]"},
		{"untagged stay where nothing is said of them", retention.Rules{KeepLast: 5}, registry.Rules{}, "", []string{"a@900"}, ""},
		{"the images of an index stay with it", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"a@9", "b@9", "i@9 1@9 lists:a"}, "[b]"},
		{"and go with it", retention.Rules{KeepLast: 1}, registry.Rules{}, "", []string{"a@9", "b@9", "i@9 1@9 lists:a,b", "c@1", "j@1 2@1 lists:b,c"}, "1 [a] [i]"},
		{"but not with a tag of their own", retention.Rules{KeepDays: 5, Tags: []string{"1"}}, registry.Rules{}, "", []string{"a@9 amd64@9", "i@9 1@9 lists:a"}, "1 [i]"},
		{"signatures stay", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"a@9 1@9", "s@9 about:a", "t@9 about:s"}, ""},
		{"signatures go", retention.Rules{KeepDays: 7}, registry.Rules{}, "", []string{"a@9 1@9", "s@1 about:a", "t@1 about:s"}, "1 [a] [s] [t]"},
		{"of what is gone", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"s@9 about:x", "t@6 about:x"}, "[s]"},
		{"not pulled", retention.Rules{UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!40 1@90!40", "b@90!20 2@90!20", "c@90 3@90", "d@20 4@20"}, "1 3 [a] [c]"},
		{"pulled by digest", retention.Rules{UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20 1@90"}, ""},
		{"pulled by another tag", retention.Rules{UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20 1@90!90 2@90!20"}, ""},
		{"a tag that moved away from what was pulled", retention.Rules{UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20", "b@90 1@80!20"}, ""},
		{"an image of an index is pulled", retention.Rules{UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20", "b@90", "i@90!40 1@90!40 lists:a,b", "j@90 2@90 lists:b"}, "2 [j]"},
		{"a pull keeps beside the number", retention.Rules{KeepLast: 1, UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20 1@90!20", "b@80 2@80", "c@70 3@70"}, "2 [b]"},
		{"and beside the age", retention.Rules{KeepDays: 75, UnpulledDays: 30}, registry.Rules{}, "", []string{"a@90!20 1@90!20", "b@80 2@80", "c@70 3@70"}, "2 [b]"},
		{"what is pulled keeps nothing where no rule says so", retention.Rules{KeepDays: 5}, registry.Rules{}, "", []string{"a@90!1 1@90!1"}, "1 [a]"},
		{"untagged and pulled", retention.Rules{UnpulledDays: 30, UntaggedDays: 7}, registry.Rules{}, "", []string{"a@90!20", "b@90!40", "c@90", "i@90 lists:d", "d@90!20"}, "[b] [c]"},
		{"untagged and pulled, without a rule", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"a@90!1"}, "[a]"},
		{"a circle of lists", retention.Rules{UnpulledDays: 30, UntaggedDays: 7}, registry.Rules{}, "", []string{"a@90!20 lists:b", "b@90 1@90 lists:a"}, ""},
		{"a circle", retention.Rules{UntaggedDays: 7}, registry.Rules{}, "", []string{"a@9 about:b", "b@9 about:a"}, "[a] [b]"},
	} {
		kept := map[string]bool{tt.kept: true}
		if got := words(tt.rules.Plan(held(tt.has...), tt.own, kept, now)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
}

// TestPullsNobodyCounted: what was there before pulls were counted is taken as pulled
// then, or an update of the program would let everything go.
func TestPullsNobodyCounted(t *testing.T) {
	r := held("a@900 1@900", "b@900 2@900!40")
	rules := retention.Rules{UnpulledDays: 30}
	for days, want := range map[int]string{10: "", 29: "", 31: "1 2 [a] [b]"} {
		r.CountedSince = ago(days)
		if got := words(rules.Plan(r, registry.Rules{}, nil, now)); got != want {
			t.Errorf("counted for %d days: %s, want %s", days, got, want)
		}
	}
}

// TestPlanIsDoneAtOnce: after what is planned is gone, nothing more goes, what stays
// has all that it lists, and no tag is lost that was to stay.
func TestPlanIsDoneAtOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		rules := retention.Rules{KeepLast: r.IntN(4), KeepDays: r.IntN(3) * 10, UnpulledDays: r.IntN(3) * 10, UntaggedDays: r.IntN(3) * 10}
		pulled := func() time.Time {
			if r.IntN(2) == 0 {
				return time.Time{}
			}
			return ago(r.IntN(40))
		}
		repository := retention.Repository{Name: "app"}
		for i := range r.IntN(12) {
			m := retention.Manifest{Digest: fmt.Sprint("m", i), PushedAt: ago(r.IntN(40)), PulledAt: pulled()}
			for j := range r.IntN(3) {
				m.Tags = append(m.Tags, retention.Tag{Name: fmt.Sprintf("t%d-%d", i, j), SetAt: ago(r.IntN(40)), PulledAt: pulled()})
			}
			if i > 0 && r.IntN(3) == 0 {
				m.Children = []string{fmt.Sprint("m", r.IntN(i))}
			}
			if r.IntN(4) == 0 {
				m.Subject = fmt.Sprint("m", r.IntN(12))
			}
			repository.Manifests = append(repository.Manifests, m)
		}
		plan := rules.Plan(repository, registry.Rules{}, nil, now)
		after := without(repository, plan)
		if again := rules.Plan(after, registry.Rules{}, nil, now); len(again) > 0 && !onlyAbout(again, repository) {
			t.Fatalf("%+v of %+v: first %s, then %s", rules, repository, words(plan), words(again))
		}
		here := make(map[string]bool)
		for _, m := range after.Manifests {
			here[m.Digest] = true
		}
		for _, m := range after.Manifests {
			for _, child := range m.Children {
				if !here[child] {
					t.Fatalf("%s stays, and lists %s, which goes", m.Digest, child)
				}
			}
		}
		for _, d := range plan {
			if d.Tag == "" && slices.ContainsFunc(after.Manifests, func(m retention.Manifest) bool { return m.Digest == d.Digest }) || d.Reason == "" {
				t.Fatalf("%+v", d)
			}
		}
	}
}

func without(repository retention.Repository, plan []retention.Deletion) retention.Repository {
	gone := make(map[string]bool)
	for _, d := range plan {
		gone[d.Digest+" "+d.Tag] = true
	}
	after := retention.Repository{Name: repository.Name}
	for _, m := range repository.Manifests {
		if gone[m.Digest+" "] {
			continue
		}
		m.Tags = slices.DeleteFunc(slices.Clone(m.Tags), func(t retention.Tag) bool { return gone[m.Digest+" "+t.Name] })
		after.Manifests = append(after.Manifests, m)
	}
	return after
}

// onlyAbout reports whether what goes belonged to something: alone now, it goes by
// its own age.
func onlyAbout(plan []retention.Deletion, repository retention.Repository) bool {
	for _, d := range plan {
		i := slices.IndexFunc(repository.Manifests, func(m retention.Manifest) bool { return m.Digest == d.Digest })
		if d.Tag != "" || repository.Manifests[i].Subject == "" {
			return false
		}
	}
	return true
}

func TestHeld(t *testing.T) {
	one := []retention.Deletion{{Digest: "a", Tag: "1"}, {Digest: "a"}}
	for _, tt := range []struct {
		plan            []retention.Deletion
		manifests, tags int
		want            bool
	}{{nil, 0, 0, false}, {nil, 5, 5, false}, {one, 2, 2, false}, {one, 1, 2, true}, {one, 9, 1, true}, {one, 3, 2, false}} {
		if got := retention.Held(tt.plan, tt.manifests, tt.tags); got != tt.want {
			t.Errorf("%+v: %t", tt, got)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		rules retention.Rules
		field string
	}{
		{retention.Rules{}, ""},
		{retention.Rules{Enabled: true, KeepLast: 3, Repositories: []string{"team/*"}, Tags: []string{"v?"}, Except: []string{"[0-9]*"}}, ""},
		{retention.Rules{Enabled: true}, "enabled"},
		{retention.Rules{Enabled: true, UnpulledDays: 90}, ""},
		{retention.Rules{UnpulledDays: -1}, "unpulled_days"},
		{retention.Rules{KeepLast: -1}, "keep_last"},
		{retention.Rules{KeepDays: 1_000_000}, "keep_days"},
		{retention.Rules{UntaggedDays: -1}, "untagged_days"},
		{retention.Rules{Tags: []string{""}}, "tags"},
		{retention.Rules{Except: []string{"["}}, "except"},
		{retention.Rules{Repositories: []string{"a\nb"}}, "repositories"},
		{retention.Rules{Repositories: make([]string, 51)}, "repositories"},
	} {
		var field *retention.FieldError
		err := tt.rules.Check()
		if got := ""; errors.As(err, &field) {
			if got = field.Field; got != tt.field {
				t.Errorf("%+v: %v", tt.rules, err)
			}
		} else if tt.field != "" {
			t.Errorf("%+v is accepted", tt.rules)
		}
	}
}
