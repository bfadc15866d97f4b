package retention

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Repository is what a repository holds.
type Repository struct {
	Name      string
	Tags      []Tag
	Manifests []Manifest
}

// Tag is a name for a manifest.
type Tag struct {
	Name, Digest string
	UpdatedAt    time.Time
	// Fixed says why rules of the registry keep it where it is; "" where they do not.
	Fixed string
}

// Manifest is an image, an index, or what is attached to one.
type Manifest struct {
	Digest   string
	Subject  string
	Children []string // manifests that an index lists
	PushedAt time.Time
	Size     int64 // bytes, with its blobs
	// Excepted says that an exception from the policy covers it.
	Excepted bool
}

// Entry is something that goes: a manifest with its tags, or a tag alone.
type Entry struct {
	Repository string
	Digest     string
	// Tag is "" where the manifest goes, with Tags.
	Tag    string
	Tags   []string
	Size   int64
	Reason string
}

// Plan is what goes of a registry.
type Plan struct {
	Entries []Entry
	// Images counts all that are there, attachments apart; Tags their tags.
	// GoneImages and GoneTags count those that go.
	Images, GoneImages, Tags, GoneTags int
}

// Digest names the list: it is another one whenever something else goes.
func (p Plan) Digest() string {
	sum := sha256.New()
	for _, e := range p.Entries {
		fmt.Fprintf(sum, "%q %q %q %q\n", e.Repository, e.Digest, e.Tag, e.Tags)
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// Drastic says why somebody has to confirm the list before anything goes; "" where
// nobody has to.
func (p Plan) Drastic() string {
	switch {
	case p.GoneImages > 0 && p.GoneImages == p.Images:
		return fmt.Sprintf("all %d images would go", p.Images)
	case 2*p.GoneImages > p.Images:
		return fmt.Sprintf("%d of %d images would go, which is over half", p.GoneImages, p.Images)
	case 2*p.GoneTags > p.Tags:
		return fmt.Sprintf("%d of %d tags would go, which is over half", p.GoneTags, p.Tags)
	}
	return ""
}

// Add adds what goes of another repository.
func (p *Plan) Add(o Plan) {
	p.Entries = append(p.Entries, o.Entries...)
	p.Images, p.GoneImages = p.Images+o.Images, p.GoneImages+o.GoneImages
	p.Tags, p.GoneTags = p.Tags+o.Tags, p.GoneTags+o.GoneTags
}

// Of says what goes of a repository at a time.
func (r Rules) Of(repository Repository, now time.Time) Plan {
	c := computing{rules: r, repository: repository, now: now, doomed: map[string]string{}, tags: map[string][]Tag{}, reasons: map[string]string{}, kept: map[string]bool{}}
	for _, t := range repository.Tags {
		c.tags[t.Digest] = append(c.tags[t.Digest], t)
	}
	c.judgeTags()
	c.keep()
	return c.plan()
}

type computing struct {
	rules      Rules
	repository Repository
	now        time.Time
	tags       map[string][]Tag  // by digest
	doomed     map[string]string // why a tag goes
	kept       map[string]bool   // digests
	reasons    map[string]string // why a manifest without tags goes
}

// judgeTags asks the rules about every tag. A tag that a client of the older kind
// made to attach something, sha256-HEX.sig, goes and stays with what it is about.
func (c *computing) judgeTags() {
	newest := slices.Clone(c.repository.Tags)
	slices.SortFunc(newest, func(a, b Tag) int {
		return cmp.Or(b.UpdatedAt.Compare(a.UpdatedAt), strings.Compare(a.Name, b.Name))
	})
	count := make([]int, len(c.rules.Rules))
	for _, t := range newest {
		if subjectOf(t.Name) != "" {
			continue
		}
		i := slices.IndexFunc(c.rules.Rules, func(r Rule) bool {
			return matchesAny(r.Repositories, c.repository.Name, true) && matchesAny(r.Tags, t.Name, true)
		})
		if i < 0 {
			continue
		}
		rule := c.rules.Rules[i]
		count[i]++
		age := c.now.Sub(t.UpdatedAt)
		if count[i] <= rule.Last || rule.Days > 0 && age < time.Duration(rule.Days)*24*time.Hour || t.Fixed != "" || matchesAny(c.rules.Always, t.Name, false) {
			continue
		}
		var parts []string
		if rule.Last > 0 {
			parts = append(parts, fmt.Sprintf("it is not among the last %d", rule.Last))
		}
		if rule.Days > 0 {
			parts = append(parts, fmt.Sprintf("it was pushed %d days ago", int(age/(24*time.Hour))))
		}
		if len(parts) == 0 {
			parts = append(parts, "nothing keeps it")
		}
		c.doomed[t.Name] = fmt.Sprintf("rule %d: %s", i+1, strings.Join(parts, " and "))
	}
}

// subjectOf is the digest that a tag of the older kind of attachments is about
// (distribution-spec, "Referrers Tag Schema", and cosign's).
func subjectOf(tag string) string {
	rest, ok := strings.CutPrefix(tag, "sha256-")
	if !ok || len(rest) < 64 || strings.Trim(rest[:64], "0123456789abcdef") != "" || len(rest) > 64 && rest[64] != '.' {
		return ""
	}
	return "sha256:" + rest[:64]
}

// keep finds the manifests that stay: those that something keeps, and all that is
// part of them or attached to them.
func (c *computing) keep() {
	there := make(map[string]bool, len(c.repository.Manifests))
	belongs := map[string][]string{} // what stays with a digest
	part := map[string]bool{}        // of something that is there
	for _, m := range c.repository.Manifests {
		there[m.Digest] = true
	}
	join := func(of, what string) {
		if there[of] && of != what {
			belongs[of] = append(belongs[of], what)
			part[what] = true
		}
	}
	for _, m := range c.repository.Manifests {
		for _, child := range m.Children {
			join(m.Digest, child)
		}
		if m.Subject != "" {
			join(m.Subject, m.Digest)
		}
	}
	for _, t := range c.repository.Tags {
		if of := subjectOf(t.Name); of != "" {
			join(of, t.Digest)
		}
	}
	var work []string
	for _, m := range c.repository.Manifests {
		if c.root(m, part[m.Digest]) {
			work = append(work, m.Digest)
		}
	}
	for len(work) > 0 {
		digest := work[len(work)-1]
		work = work[:len(work)-1]
		if !c.kept[digest] {
			c.kept[digest] = true
			work = append(work, belongs[digest]...)
		}
	}
}

// root reports whether a manifest stays by itself. One without tags that is part
// of another, or attached to it, stays and goes with that.
func (c *computing) root(m Manifest, part bool) bool {
	tagged := false
	for _, t := range c.tags[m.Digest] {
		if subjectOf(t.Name) != "" && part {
			continue
		}
		if tagged = true; c.doomed[t.Name] == "" {
			return true
		}
	}
	switch {
	case m.Excepted:
		return true
	case tagged:
		return false
	case part:
		c.reasons[m.Digest] = "it belongs to what goes"
		return false
	}
	age := c.now.Sub(m.PushedAt)
	if c.rules.UntaggedDays == 0 || age < time.Duration(c.rules.UntaggedDays)*24*time.Hour {
		return true
	}
	c.reasons[m.Digest] = fmt.Sprintf("it has no tag and was pushed %d days ago", int(age/(24*time.Hour)))
	return false
}

func (c *computing) plan() (p Plan) {
	excepted := map[string]bool{}
	for _, m := range c.repository.Manifests {
		excepted[m.Digest] = m.Excepted
		attached := m.Subject != "" || slices.ContainsFunc(c.tags[m.Digest], func(t Tag) bool { return subjectOf(t.Name) != "" })
		if !attached {
			p.Images++
		}
		if c.kept[m.Digest] {
			continue
		}
		if !attached {
			p.GoneImages++
		}
		e := Entry{Repository: c.repository.Name, Digest: m.Digest, Size: m.Size, Reason: c.reasons[m.Digest]}
		for _, t := range c.tags[m.Digest] {
			e.Tags = append(e.Tags, t.Name)
			e.Reason = cmp.Or(e.Reason, c.doomed[t.Name], "it belongs to what goes")
			p.GoneTags++
		}
		slices.Sort(e.Tags)
		p.Entries = append(p.Entries, e)
	}
	p.Tags = len(c.repository.Tags)
	for _, t := range c.repository.Tags {
		if why := c.doomed[t.Name]; why != "" && c.kept[t.Digest] && !excepted[t.Digest] {
			p.GoneTags++
			p.Entries = append(p.Entries, Entry{Repository: c.repository.Name, Digest: t.Digest, Tag: t.Name, Reason: why + "; its image stays"})
		}
	}
	slices.SortFunc(p.Entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Digest, b.Digest), strings.Compare(a.Tag, b.Tag))
	})
	return p
}
