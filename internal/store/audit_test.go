package store_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestAuditLogIsNewestFirst(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		for _, action := range []string{"first", "second", "third"} {
			if err := s.AppendAudit(ctx, audit.Entry{Actor: "admin", Action: action, Object: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		page, err := s.AuditEntries(ctx, audit.Filter{Limit: 2})
		if err != nil || len(page) != 2 || page[0].Action != "third" || page[1].Action != "second" || !page[0].At.Equal(clock.Now()) || string(page[0].Detail) != "{}" {
			t.Fatalf("got %+v, %v", page, err)
		}
		rest, err := s.AuditEntries(ctx, audit.Filter{After: page[1].ID, Limit: 2})
		if err != nil || len(rest) != 1 || rest[0].Action != "first" {
			t.Errorf("got %+v, %v", rest, err)
		}
		clock.advance(time.Hour)
		if err := s.AppendAudit(ctx, audit.Entry{Actor: "me", Action: "registry.create", Object: "registry Main"}); err != nil {
			t.Fatal(err)
		}
		if actions, err := s.AuditActions(ctx); err != nil || strings.Join(actions, " ") != "first registry.create second third" {
			t.Errorf("actions: %q, %v", actions, err)
		}
		for name, test := range map[string]struct {
			filter audit.Filter
			want   string
		}{
			"oldest first":      {audit.Filter{Oldest: true}, "first second third registry.create"},
			"its second page":   {audit.Filter{Oldest: true, After: page[1].ID}, "third registry.create"},
			"of a user":         {audit.Filter{Actor: "me"}, "registry.create"},
			"an action":         {audit.Filter{Action: "second"}, "second"},
			"a kind of actions": {audit.Filter{Action: "registry."}, "registry.create"},
			"half an action":    {audit.Filter{Action: "registry"}, ""},
			"an object":         {audit.Filter{Object: "main"}, "registry.create"},
			"since":             {audit.Filter{Since: clock.Now()}, "registry.create"},
			"before":            {audit.Filter{Before: clock.Now()}, "third second first"},
		} {
			test.filter.Limit = 10
			list, err := s.AuditEntries(ctx, test.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list {
				got = append(got, e.Action)
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("%s: %q, want %q", name, got, test.want)
			}
		}
	})
}
