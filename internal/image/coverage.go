package image

import (
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/inventory"
)

// Verdict says how much an image's findings can be relied on.
type Verdict string

// The verdicts. No finding means clean only where the verdict is Known.
const (
	// Known: every layer was read and current feeds speak of all packages.
	Known Verdict = "known"
	// Partial: the findings are right, but there may be more.
	Partial Verdict = "partial"
	// Unjudged: nothing can be said.
	Unjudged Verdict = "unknown"
)

// Coverage is a verdict with its reasons; a Known one has none.
type Coverage struct {
	Verdict Verdict
	Reasons []string
}

// Data is what the feeds have on an ecosystem: a distribution, or a type of
// packages of a language.
type Data struct {
	// Updated is when a feed last confirmed its data; zero where there is none.
	Updated time.Time
	// StaleAfter is how old the data may be before it is no longer current;
	// 0 is for ever.
	StaleAfter time.Duration
}

// Oldest is when the data that was confirmed first was; zero where there is none.
func Oldest(data map[string]Data) (when time.Time) {
	for _, d := range data {
		if when.IsZero() || !d.Updated.IsZero() && d.Updated.Before(when) {
			when = d.Updated
		}
	}
	return when
}

// Ecosystems lists what feeds have to have data on so that the image's packages
// can be judged: its distribution, and the types of its other packages.
func (i Image) Ecosystems() []string {
	var list []string
	if i.Distribution != "" {
		list = append(list, i.Distribution)
	}
	for kind := range i.Types {
		if !inventory.OfSystem(kind) {
			list = append(list, kind)
		}
	}
	slices.Sort(list)
	return list
}

// Coverage says how much the image's findings can be relied on at a time, given
// what the feeds have on its ecosystems.
func (i Image) Coverage(data map[string]Data, now time.Time) Coverage {
	if i.State == Pending {
		return Coverage{Unjudged, []string{"the analysis is not done yet"}}
	}
	var c Coverage
	add := func(v Verdict, reason string) {
		if c.Verdict != Unjudged {
			c.Verdict = v
		}
		c.Reasons = append(c.Reasons, reason)
	}
	c.Verdict = Known
	if i.State == Failed {
		add(Unjudged, i.Error)
	}
	system := false
	for kind := range i.Types {
		system = system || inventory.OfSystem(kind)
	}
	switch {
	case i.Packages == 0 && i.Distribution == "":
		add(Unjudged, "no package database and no distribution were found")
	case i.Packages == 0 || i.stated():
		add(Unjudged, "no package database was found")
	case system && i.Distribution == "":
		add(Unjudged, "the packages' distribution is not known")
	case !system && i.Distribution != "":
		add(Unjudged, "no package database of "+i.Distribution+" was found")
	}
	for _, ecosystem := range i.Ecosystems() {
		has := data[ecosystem]
		switch {
		case has.Updated.IsZero() && ecosystem == i.Distribution:
			add(Unjudged, "no feed has data on "+ecosystem)
		case has.Updated.IsZero():
			add(Partial, fmt.Sprintf("%d packages of type %s are not judged: no feed has data on them", i.Types[ecosystem], ecosystem))
		case has.StaleAfter > 0 && now.Sub(has.Updated) > has.StaleAfter:
			add(Partial, fmt.Sprintf("the data on %s was last confirmed at %s", ecosystem, has.Updated.Format(time.RFC3339)))
		}
	}
	for _, w := range i.Warnings {
		text := w.Message
		if w.Path != "" {
			text = w.Path + ": " + text
		}
		add(Partial, text)
	}
	return c
}

// stated reports that the layers hold no package: what there is, others state.
func (i Image) stated() bool {
	return slices.ContainsFunc(i.Warnings, func(w inventory.Warning) bool { return w.Code == inventory.NoPackages })
}
