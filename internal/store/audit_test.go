package store_test

import (
	"context"
	"testing"

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
		page, err := s.AuditEntries(ctx, 0, 2)
		if err != nil || len(page) != 2 || page[0].Action != "third" || page[1].Action != "second" || !page[0].At.Equal(clock.Now()) || string(page[0].Detail) != "{}" {
			t.Fatalf("got %+v, %v", page, err)
		}
		rest, err := s.AuditEntries(ctx, page[1].ID, 2)
		if err != nil || len(rest) != 1 || rest[0].Action != "first" {
			t.Errorf("got %+v, %v", rest, err)
		}
	})
}
