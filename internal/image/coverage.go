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
	// Known: every layer was read and a current feed speaks of the distribution.
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

// Data is what the feeds have on a distribution.
type Data struct {
	// Updated is when a feed last confirmed its data; zero where there is none.
	Updated time.Time
	// StaleAfter is how old the data may be before it is no longer current;
	// 0 is for ever.
	StaleAfter time.Duration
}

// Coverage says how much the image's findings can be relied on at a time, given
// what the feeds have on its distribution.
func (i Image) Coverage(data Data, now time.Time) Coverage {
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
	switch {
	case i.Packages == 0 && i.Distribution == "":
		add(Unjudged, "no package database and no distribution were found")
	case i.Packages == 0 || i.stated():
		add(Unjudged, "no package database was found")
	case i.Distribution == "":
		add(Unjudged, "the packages' distribution is not known")
	case data.Updated.IsZero():
		add(Unjudged, "no feed has data on "+i.Distribution)
	case data.StaleAfter > 0 && now.Sub(data.Updated) > data.StaleAfter:
		add(Partial, fmt.Sprintf("the data on %s was last confirmed at %s", i.Distribution, data.Updated.Format(time.RFC3339)))
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
