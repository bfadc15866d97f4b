package notify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestShown(t *testing.T) {
	for _, test := range []struct {
		kind          notify.Kind
		address, want string
	}{
		{notify.Slack, "https://hooks.slack.com/services/T0/B0/token", "https://hooks.slack.com/…"},
		{notify.Teams, "https://prod.westeurope.logic.azure.com:443/workflows/1?sig=token", "https://prod.westeurope.logic.azure.com:443/…"},
		{notify.Webhook, "https://ci.example/hook", "https://ci.example/hook"},
		{notify.Webhook, "https://ci.example/hook?token=1", "https://ci.example/hook?…"},
		{notify.Webhook, "https://ci.example/hook#token", "https://ci.example/hook?…"},
	} {
		if got := notify.Shown(test.kind, test.address); got != test.want {
			t.Errorf("%s is shown as %s, want %s", test.address, got, test.want)
		}
	}
}

// TestAddressesAreSecret: who knows the address of a channel can write there.
func TestAddressesAreSecret(t *testing.T) {
	const whole, shown = "https://hooks.slack.com/services/T0/B0/token", "https://hooks.slack.com/…"
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		ctx := t.Context()
		tell := func() (notify.Delivery, error) {
			d, err := f.SendTest(ctx, "team", "ann")
			if err != nil {
				t.Fatal(err)
			}
			told := f.Deliver(ctx, d.ID, true)
			if d, err = f.Delivery(ctx, d.ID); err != nil {
				t.Fatal(err)
			}
			return d, told
		}
		stands := func(what, address string) notify.Receiver {
			t.Helper()
			r, err := f.Receiver(ctx, "team")
			if err != nil || r.URL != notify.Shown(r.Kind, address) || string(r.Address) != "address of webhook team: "+address {
				t.Fatalf("%s: %+v, %v", what, r, err)
			}
			f.post.got = nil
			if _, err := tell(); err != nil || len(f.post.got) != 1 || f.post.got[0].url != address {
				t.Fatalf("%s: %v is told, %v", what, f.post.got, err)
			}
			return r
		}
		// As a former version stored it.
		if _, err := s.CreateReceiver(ctx, notify.Receiver{Name: "team", Kind: notify.Slack, URL: whole, Enabled: true}); err != nil {
			t.Fatal(err)
		}
		if _, err := tell(); err != nil || f.post.got[0].url != whole {
			t.Fatalf("%v is told, %v", f.post.got, err)
		}
		if _, err := f.Dispatch(ctx); err != nil {
			t.Fatal(err)
		}
		r := stands("sealed", whole)

		f.post.statuses = []int{-1}
		if d, err := tell(); err == nil || strings.Contains(err.Error(), "token") || strings.Contains(d.Error, "token") || !strings.Contains(d.Error, shown) {
			t.Errorf("it says %v, and people see %s", err, d.Error)
		}

		r.ExploitedOnly = true
		if _, err := f.Change(ctx, r); err != nil {
			t.Fatal(err)
		}
		r = stands("left as it is", whole)
		for what, change := range map[string]func(*notify.Receiver){
			"another kind would show it": func(r *notify.Receiver) { r.Kind = notify.Webhook },
			"what is hidden elsewhere":   func(r *notify.Receiver) { r.URL = "https://example.com/…" },
		} {
			changed := r
			change(&changed)
			var field *notify.FieldError
			if _, err := f.Change(ctx, changed); !errors.As(err, &field) || field.Field != "url" {
				t.Errorf("%s: %v", what, err)
			}
		}
		const other = "https://hooks.slack.com/services/T0/B0/other"
		r.URL = other
		if _, err := f.Change(ctx, r); err != nil {
			t.Fatal(err)
		}
		r = stands("changed", other)
		r.Kind, r.URL, r.Recipients = notify.Email, "", []string{"ann@example.com"}
		if r, err := f.Change(ctx, r); err != nil || r.Address != nil {
			t.Errorf("e-mail: %+v, %v", r, err)
		}
	})
}
