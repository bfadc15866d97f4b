// Package retention decides which tags and manifests of a registry are old enough
// to go. It is pure: what it is given is what it knows.
package retention

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// Rules say what may go. The zero value lets nothing go.
type Rules struct {
	// Enabled has the job of retention do what the rules say.
	Enabled bool `json:"enabled"`
	// Repositories are patterns of the repositories that the rules are about,
	// without the registry's name: * stands for any text, slashes too. None is all.
	Repositories []string `json:"repositories"`
	// Tags are patterns of the tags that may go. None is all.
	Tags []string `json:"tags"`
	// Except are patterns of the tags that stay.
	Except []string `json:"except"`
	// KeepLast is how many of these tags stay in a repository: those that were set
	// last. KeepDays is how long each stays after it was set.
	KeepLast int `json:"keep_last"`
	KeepDays int `json:"keep_days"`
	// UnpulledDays is how long each stays after it, or what it names, was last pulled;
	// one that never was counts from when it was set. A tag goes where none of the
	// three keeps it; where all are 0, none goes.
	UnpulledDays int `json:"unpulled_days"`
	// UntaggedDays is how long manifests stay after their push, or after they came back
	// from the trash, that have no tag and belong to nothing that has one; 0 is for
	// ever. UnpulledDays keeps them, too.
	UntaggedDays int `json:"untagged_days"`
}

const (
	maxPatterns = 50
	maxNumber   = 100_000
)

// FieldError says which rule cannot be one.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

// Check returns a *FieldError where these cannot be rules.
func (r Rules) Check() error {
	for field, patterns := range map[string][]string{"repositories": r.Repositories, "tags": r.Tags, "except": r.Except} {
		if len(patterns) > maxPatterns {
			return &FieldError{field, fmt.Sprintf("has more than %d patterns", maxPatterns)}
		}
		for _, p := range patterns {
			const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/*?[]^"
			if _, err := path.Match(p, ""); p == "" || len(p) > 256 || err != nil || strings.Trim(p, letters) != "" {
				return &FieldError{field, fmt.Sprintf("has %.80q, which is no pattern of names", p)}
			}
		}
	}
	for _, n := range []struct {
		field string
		n     int
	}{{"keep_last", r.KeepLast}, {"keep_days", r.KeepDays}, {"unpulled_days", r.UnpulledDays}, {"untagged_days", r.UntaggedDays}} {
		if n.n < 0 || n.n > maxNumber {
			return &FieldError{n.field, fmt.Sprintf("is not from 0 to %d", maxNumber)}
		}
	}
	if r.Enabled && !r.letTagsGo() && r.UntaggedDays == 0 {
		return &FieldError{"enabled", "lets nothing go: say how many are kept, or for how long"}
	}
	return nil
}

// letTagsGo reports whether any rule says which tags stay, so that others go.
func (r Rules) letTagsGo() bool { return r.KeepLast > 0 || r.KeepDays > 0 || r.UnpulledDays > 0 }

// Tag is the identity of the rules: another one whenever they change.
func (r Rules) Tag() string {
	text, err := json.Marshal(r)
	if err != nil { // strings and numbers
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// Repository is what a repository holds.
type Repository struct {
	Name      string
	Manifests []Manifest
	// CountedSince is since when pulls are counted; the zero time where they always
	// were. What was pulled before nobody knows: it counts as pulled then.
	CountedSince time.Time
}

// Manifest is one of a repository.
type Manifest struct {
	Digest string
	// PushedAt is when it was pushed, or came back from the trash since.
	PushedAt time.Time
	PulledAt time.Time // zero: never
	Tags     []Tag
	// Children are the manifests that it lists, Subject the one that it is about.
	Children []string
	Subject  string
}

// Tag is one of a manifest.
type Tag struct {
	Name     string
	SetAt    time.Time
	PulledAt time.Time // zero: never
}

// Deletion is something that goes: a tag, or, where Tag is empty, a manifest.
type Deletion struct {
	Repository string
	Digest     string
	Tag        string
	// Reason says why, for people.
	Reason string
}

// Plan lists what goes of a repository at a time, tags before manifests. Tags that
// the registry's own rules keep stay: immutable ones, and those that follow versions
// for as long as there are any. So do the manifests in kept, with all that belongs to
// them.
func (r Rules) Plan(repository Repository, own registry.Rules, kept map[string]bool, now time.Time) []Deletion {
	if !about(r.Repositories, repository.Name) {
		return nil
	}
	used := r.used(repository, now)
	gone := r.tags(repository, own, kept, used, now)
	plan := slices.Clone(gone)
	dropped := make(map[string]int, len(gone))
	for _, d := range gone {
		dropped[d.Digest]++
	}
	follows := following(repository, own)
	left := func(m Manifest) int {
		n := len(m.Tags) - dropped[m.Digest]
		for _, t := range m.Tags {
			if follows[t.Name] {
				n-- // it goes on to another version
			}
		}
		return n
	}
	for _, m := range unowned(repository.Manifests, func(m Manifest) bool { return left(m) > 0 || kept[m.Digest] }, func(m Manifest) bool {
		return dropped[m.Digest] == 0 && (r.UntaggedDays == 0 || m.PushedAt.After(now.AddDate(0, 0, -r.UntaggedDays)) || used[m.Digest])
	}) {
		reason := "what it belongs to goes"
		switch {
		case dropped[m.Digest] > 0:
			reason = "its last tag goes"
		case m.lone:
			reason = fmt.Sprintf("it has no tag and was pushed, or restored, more than %s ago", days(r.UntaggedDays))
		}
		plan = append(plan, Deletion{repository.Name, m.Digest, "", reason})
	}
	return plan
}

func following(repository Repository, own registry.Rules) map[string]bool {
	if !own.VersionTags {
		return nil
	}
	var names []string
	for _, m := range repository.Manifests {
		for _, t := range m.Tags {
			names = append(names, t.Name)
		}
	}
	follows := make(map[string]bool)
	for tag := range registry.Following(names) {
		follows[tag] = true
	}
	return follows
}

// used are the manifests that were pulled lately, and those that list such, as far as
// that keeps anything.
func (r Rules) used(repository Repository, now time.Time) map[string]bool {
	if r.UnpulledDays == 0 {
		return nil
	}
	lately := now.AddDate(0, 0, -r.UnpulledDays)
	used, listing := make(map[string]bool), make(map[string][]string)
	var pulled func(digest string)
	pulled = func(digest string) {
		if used[digest] {
			return
		}
		used[digest] = true
		for _, parent := range listing[digest] {
			pulled(parent)
		}
	}
	for _, m := range repository.Manifests {
		for _, child := range m.Children {
			listing[child] = append(listing[child], m.Digest)
		}
	}
	for _, m := range repository.Manifests {
		if m.PulledAt.After(lately) || repository.CountedSince.After(lately) {
			pulled(m.Digest)
		}
	}
	return used
}

// tags lists those that go, the oldest first.
func (r Rules) tags(repository Repository, own registry.Rules, kept, used map[string]bool, now time.Time) []Deletion {
	if !r.letTagsGo() {
		return nil
	}
	type candidate struct {
		digest string
		Tag
	}
	follows := following(repository, own)
	var all []candidate
	for _, m := range repository.Manifests {
		for _, t := range m.Tags {
			if about(r.Tags, t.Name) && !matchesAny(r.Except, t.Name) && !own.Immutable(t.Name) && !follows[t.Name] {
				all = append(all, candidate{m.Digest, t})
			}
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(b.SetAt.Compare(a.SetAt), strings.Compare(b.Name, a.Name))
	})
	within := func(days int, t time.Time) bool { return days > 0 && t.After(now.AddDate(0, 0, -days)) }
	var gone []Deletion
	for i, c := range all {
		if i < r.KeepLast || within(r.KeepDays, c.SetAt) || within(r.UnpulledDays, c.SetAt) || within(r.UnpulledDays, c.PulledAt) || used[c.digest] || kept[c.digest] {
			continue
		}
		var reasons []string
		if r.KeepLast > 0 {
			reasons = append(reasons, fmt.Sprintf("there are %d newer ones", i))
		}
		if r.KeepDays > 0 {
			reasons = append(reasons, fmt.Sprintf("it was set more than %s ago", days(r.KeepDays)))
		}
		if r.UnpulledDays > 0 {
			reasons = append(reasons, fmt.Sprintf("it was not pulled for more than %s", days(r.UnpulledDays)))
		}
		gone = append(gone, Deletion{repository.Name, c.digest, c.Name, strings.Join(reasons, " and ")})
	}
	slices.Reverse(gone)
	return gone
}

// owned is a manifest that goes; lone where it belongs to none that is here.
type owned struct {
	Manifest
	lone bool
}

// unowned lists the manifests that do not stay: neither for themselves, nor with one
// that does. What an index lists, and what is about a manifest, go where these go;
// what belongs to none that is here stays while it is young.
func unowned(manifests []Manifest, stays, young func(Manifest) bool) []owned {
	at := make(map[string]int, len(manifests))
	for i, m := range manifests {
		at[m.Digest] = i
	}
	lone, about := make([]bool, len(manifests)), make(map[string][]int)
	for i, m := range manifests {
		_, here := at[m.Subject]
		if lone[i] = !here; here {
			about[m.Subject] = append(about[m.Subject], i)
		}
	}
	for _, m := range manifests {
		for _, child := range m.Children {
			if i, ok := at[child]; ok {
				lone[i] = false
			}
		}
	}
	keep := make([]bool, len(manifests))
	var visit func(i int)
	visit = func(i int) {
		if keep[i] {
			return
		}
		keep[i] = true
		for _, child := range manifests[i].Children {
			if j, ok := at[child]; ok {
				visit(j)
			}
		}
		for _, j := range about[manifests[i].Digest] {
			visit(j)
		}
	}
	for i, m := range manifests {
		if stays(m) || lone[i] && young(m) {
			visit(i)
		}
	}
	var gone []owned
	for i, m := range manifests {
		if !keep[i] {
			gone = append(gone, owned{m, lone[i]})
		}
	}
	return gone
}

// about reports whether a name is of any of the patterns; of no patterns, every name is.
func about(patterns []string, name string) bool {
	return len(patterns) == 0 || matchesAny(patterns, name)
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return registry.MatchName(p, name) })
}

func days(n int) string {
	if n == 1 {
		return "a day"
	}
	return fmt.Sprintf("%d days", n)
}

// Identity is that of a plan: another one whenever something else goes.
func Identity(plan []Deletion) string {
	h := sha256.New()
	for _, d := range plan {
		fmt.Fprintf(h, "%s\x00%s\x00%s\n", d.Repository, d.Digest, d.Tag)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Held reports whether a plan is not to be done before somebody has looked at it:
// it would delete more than half of the registry's manifests, or its last tag.
func Held(plan []Deletion, manifests, tags int) bool {
	var goneManifests, goneTags int
	for _, d := range plan {
		if d.Tag == "" {
			goneManifests++
		} else {
			goneTags++
		}
	}
	return goneManifests*2 > manifests || tags > 0 && goneTags == tags
}
