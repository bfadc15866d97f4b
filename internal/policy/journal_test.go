package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/policy"
)

// auditLog keeps entries as "ACTOR OBJECT COUNT".
type auditLog struct {
	entries []string
	fails   error
}

func (l *auditLog) AppendAudit(ctx context.Context, e audit.Entry) error {
	if l.fails != nil {
		return l.fails
	}
	var detail struct {
		Count   int
		Reasons []string
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return err
	}
	l.entries = append(l.entries, fmt.Sprintf("%s %s %s %d %v", e.Actor, e.Action, e.Object, detail.Count, detail.Reasons))
	return ctx.Err()
}

func (l *auditLog) take() []string {
	slices.Sort(l.entries)
	taken := l.entries
	l.entries = nil
	return taken
}

func TestJournal(t *testing.T) {
	var log auditLog
	c := newClock()
	j := policy.NewJournal(&log, policy.JournalOptions{Now: c.now, Log: slog.New(slog.DiscardHandler)})
	v := policy.Verdict{Blocked: true, Reasons: []policy.Reason{{Message: "why"}}}
	refuse := func(n int, digest, user string) {
		p := pull(digest)
		p.User = user
		for range n {
			j.Refused(p, v)
		}
	}
	want := func(what string, want ...string) {
		t.Helper()
		j.Write(t.Context())
		if got := log.take(); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", what, got, want)
		}
	}
	entry := func(user, digest string, n int) string {
		return fmt.Sprintf("%s pull.refuse image main/app@%s %d [why]", user, digest, n)
	}
	want("nothing was refused")
	refuse(3, "a", "ann")
	refuse(1, "b", "ann")
	refuse(1, "a", "")
	want("each image and user once, at once", entry("ann", "a", 1), entry("ann", "b", 1), entry("anyone", "a", 1))
	refuse(1000, "a", "ann")
	c.advance(59 * time.Minute)
	want("no more within the span")
	c.advance(time.Minute)
	want("at its end what there was more", entry("ann", "a", 1003))
	refuse(1, "a", "ann")
	want("the next span", entry("ann", "a", 1))

	log.fails = errors.New("the database is away")
	refuse(1, "c", "ann")
	j.Write(t.Context())
	log.fails = nil

	refuse(2, "d", "ann")
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := j.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if got, want := log.take(), []string{entry("ann", "d", 1), entry("ann", "d", 2)}; !slices.Equal(got, want) {
		t.Errorf("at the end: got %q, want %q", got, want)
	}
}

func TestJournalIsBounded(t *testing.T) {
	var log auditLog
	c := newClock()
	j := policy.NewJournal(&log, policy.JournalOptions{Now: c.now, MaxSpans: 10})
	for i := range 25 {
		j.Refused(pull(fmt.Sprint(i)), policy.Verdict{})
	}
	j.Write(t.Context())
	log.take()
	j.Refused(pull("0"), policy.Verdict{})
	j.Write(t.Context())
	if got := log.take(); len(got) != 1 {
		t.Errorf("counting did not start anew: %q", got)
	}
}
