package setting_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/setting"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func known() []setting.Known {
	return []setting.Known{
		{Name: "color", Default: "blue", Check: func(value string) error {
			if value != "red" && value != "green" {
				return errors.New("want red or green")
			}
			return nil
		}},
		{Name: "given", Default: "a", Given: "b"},
		{Name: "free"},
	}
}

func TestChange(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		c := &clock{now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
		one := setting.New(s, known(), setting.Options{Now: c.Now})
		other := setting.New(s, known(), setting.Options{Now: c.Now})
		if got := one.Value(t.Context(), "color") + other.Value(t.Context(), "given") + one.Value(t.Context(), "unknown"); got != "blueb" {
			t.Errorf("at first: %q", got)
		}
		if err := one.Change(t.Context(), map[string]string{"color": "red", "free": "x"}, "", "ada"); err != nil {
			t.Fatal(err)
		}
		if got := one.Value(t.Context(), "color"); got != "red" {
			t.Errorf("after a change: %q", got)
		}
		c.advance(time.Second)
		if got := other.Value(t.Context(), "color"); got != "red" {
			t.Errorf("a second later, elsewhere: %q", got)
		}
		list, tag, err := other.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if list[0].Value != "red" || list[0].ChangedBy != "ada" || list[0].ChangedAt.IsZero() || list[1].Value != "b" || !list[1].Fixed() || list[2].Value != "x" {
			t.Errorf("listed: %+v", list)
		}
		if err := other.Change(t.Context(), map[string]string{"color": ""}, tag, "eve"); err != nil {
			t.Fatal(err)
		}
		if err := one.Change(t.Context(), map[string]string{"free": "y"}, tag, "ada"); !errors.Is(err, setting.ErrChanged) || one.Value(t.Context(), "free") != "x" {
			t.Errorf("of what was seen before: %v", err)
		}
		if got := other.Value(t.Context(), "color"); got != "blue" {
			t.Errorf("taken back: %q", got)
		}
	})
}

func TestChangeRefuses(t *testing.T) {
	s := setting.New(storetest.SQLite(t, store.Options{}), known(), setting.Options{})
	tests := []struct {
		name   string
		values map[string]string
		want   string
	}{
		{"unknown", map[string]string{"free": "x", "nix": "1"}, `setting "nix": there is no such setting`},
		{"given", map[string]string{"free": "x", "given": "1"}, "setting given is given at the start"},
		{"wrong", map[string]string{"free": "x", "color": "pink"}, "color: want red or green"},
		{"a line break", map[string]string{"free": "x\ny"}, "free: must be text without control characters"},
		{"not text", map[string]string{"free": "\xff"}, "free: must be text without control characters"},
		{"long", map[string]string{"free": strings.Repeat("x", 4097)}, "free: is longer than 4096 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := s.Change(t.Context(), tt.values, "", "ada"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if got := s.Value(t.Context(), "free"); got != "" {
				t.Errorf("free is %q now", got)
			}
		})
	}
}

// brokenStore does not answer any more.
type brokenStore struct {
	setting.Store
	broken bool
}

func (s *brokenStore) Settings(ctx context.Context) (map[string]setting.Stored, error) {
	if s.broken {
		return nil, errors.New("no answer")
	}
	return s.Store.Settings(ctx)
}

func TestValueOutlivesTheStore(t *testing.T) {
	c := &clock{now: time.Now()}
	b := &brokenStore{Store: storetest.SQLite(t, store.Options{})}
	s := setting.New(b, known(), setting.Options{Now: c.Now})
	if err := s.Change(t.Context(), map[string]string{"color": "green"}, "", "ada"); err != nil {
		t.Fatal(err)
	}
	s.Value(t.Context(), "color")
	b.broken = true
	c.advance(time.Hour)
	if got := s.Value(t.Context(), "color"); got != "green" {
		t.Errorf("got %q", got)
	}
}
