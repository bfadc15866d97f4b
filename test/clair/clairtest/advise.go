package clairtest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// Advise publishes advisories, besides those from before. The feed is named as
// the distribution; what is wrong is said in words.
func (s *Server) Advise(t testing.TB, advisories ...advisory.Advisory) {
	t.Helper()
	s.advisories = append(s.advisories, advisories...)
	parts := make(map[string]map[string]*feed.Entry)
	for _, a := range s.advisories {
		if parts[a.Ecosystem] == nil {
			parts[a.Ecosystem] = make(map[string]*feed.Entry)
		}
		entry := parts[a.Ecosystem][a.Package]
		if entry == nil {
			entry = &feed.Entry{Group: advisory.Group{Part: a.Ecosystem, Name: a.Package, Details: make(map[string]advisory.Detail)}}
			parts[a.Ecosystem][a.Package] = entry
		}
		entry.Advisories = append(entry.Advisories, a)
		entry.Details[a.Vulnerability] = advisory.Detail{Description: fmt.Sprintf("What %s is about.", a.Vulnerability)}
	}
	for part, entries := range parts {
		var changed []feed.Entry
		for _, e := range entries {
			changed = append(changed, *e)
		}
		name, _, _ := strings.Cut(part, ":")
		if err := s.Store.ReplaceAdvisories(t.Context(), name, part, changed, nil, match.Package); err != nil {
			t.Fatal(err)
		}
		// The next time is no first load any more, of whose changes nobody is told.
		if err := s.Store.SaveFeedPart(t.Context(), name, feed.PartState{Part: part, Changed: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
}

// Affected makes an advisory; fixed is "" where there is no fix.
func Affected(vulnerability, ecosystem, name, fixed string, severity advisory.Severity) advisory.Advisory {
	return advisory.Advisory{
		Vulnerability: vulnerability, Ecosystem: ecosystem, Package: name, Source: true,
		Status: advisory.Affected, Fixed: fixed, Severity: severity,
	}
}
