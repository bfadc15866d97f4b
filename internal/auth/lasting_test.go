package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestWhatExpiresGivesNothingThatOutlastsIt(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx, service := t.Context(), auth.New(s, auth.Options{})
		if _, err := service.CreateUser(ctx, "admin", password, true); err != nil {
			t.Fatal(err)
		}
		as := func(user, secret string) auth.Principal {
			t.Helper()
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.SetBasicAuth(user, secret)
			p, err := service.Authenticate(r)
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		admin, soon := as("admin", password), time.Now().Add(time.Hour)
		everything := []auth.Grant{{Role: auth.RoleAdminister}}
		_, key, err := service.CreateKey(ctx, admin, auth.NewKey{Name: "short", ExpiresAt: soon})
		if err != nil {
			t.Fatal(err)
		}
		short, secret, err := service.CreateRobot(ctx, admin, auth.Robot{Name: "short", Grants: everything, ExpiresAt: soon})
		if err != nil {
			t.Fatal(err)
		}
		long, _, err := service.CreateRobot(ctx, admin, auth.Robot{Name: "long", Grants: everything})
		if err != nil {
			t.Fatal(err)
		}
		later := soon.Add(time.Hour)
		for name, p := range map[string]auth.Principal{"key": as(auth.KeyUser, key), "robot": as("robot+short", secret)} {
			makes := func(at time.Time) error {
				_, _, err := service.CreateRobot(ctx, p, auth.Robot{Name: name + "-child", Grants: everything, ExpiresAt: at})
				return err
			}
			prolongs := func(at time.Time) error {
				_, err := service.ChangeRobot(ctx, p, short.ID, auth.RobotChange{ExpiresAt: &at})
				return err
			}
			_, _, renews := service.RenewRobot(ctx, p, long.ID)
			for what, err := range map[string]error{
				"makes a lasting robot": makes(time.Time{}), "makes a longer robot": makes(later),
				"prolongs a robot for ever": prolongs(time.Time{}), "prolongs a robot": prolongs(later),
				"renews a lasting robot": renews, "sets a password": p.CheckLasting(time.Time{}),
			} {
				if !errors.Is(err, auth.ErrOutlasts) {
					t.Errorf("the %s %s: %v", name, what, err)
				}
			}
			if err := makes(soon.Add(-time.Minute)); err != nil {
				t.Errorf("the %s makes a robot that expires sooner: %v", name, err)
			}
			if p.UserID == 0 {
				continue
			}
			if _, _, err := service.CreateKey(ctx, p, auth.NewKey{Name: "ever"}); !errors.Is(err, auth.ErrOutlasts) {
				t.Errorf("the key makes a lasting key: %v", err)
			}
			if _, _, err := service.CreateKey(ctx, p, auth.NewKey{Name: "sooner", ExpiresAt: soon.Add(-time.Minute)}); err != nil {
				t.Errorf("the key makes a key that expires sooner: %v", err)
			}
		}
		if _, _, err := service.RenewRobot(ctx, admin, long.ID); err != nil {
			t.Errorf("the administrator renews: %v", err)
		}
	})
}

// Another replica remembers for a moment what was right: nothing that lasts comes of it.
func TestFormerPasswordLeavesNothingBehind(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx, c := t.Context(), &clock{now: time.Now()}
		one, two := auth.New(s, auth.Options{Now: c.Now}), auth.New(s, auth.Options{Now: c.Now})
		ada, err := one.CreateUser(ctx, "ada", password, true)
		if err != nil {
			t.Fatal(err)
		}
		request := func(secret string) *http.Request {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			if secret != "" {
				r.SetBasicAuth("ada", secret)
			}
			return r
		}
		before, err := two.Authenticate(request(password))
		if err != nil {
			t.Fatal(err)
		}
		robot, _, err := one.CreateRobot(ctx, before, auth.Robot{Name: "ci", Grants: []auth.Grant{{Role: auth.RoleRead}}})
		if err != nil {
			t.Fatal(err)
		}
		const renewed = "battery staple"
		if err := one.SetPassword(ctx, ada.ID, renewed, ""); err != nil {
			t.Fatal(err)
		}
		if _, _, secret, err := two.SignIn(request(""), "ada", password); !errors.Is(err, auth.ErrCredentials) || secret != "" {
			t.Errorf("a session by the former password: %q, %v", secret, err)
		}
		if _, _, err := two.CreateKey(ctx, before, auth.NewKey{Name: "left"}); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("a key by the former password: %v", err)
		}
		if _, _, err := two.CreateRobot(ctx, before, auth.Robot{Name: "left", Grants: []auth.Grant{{Role: auth.RoleRead}}}); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("a robot by the former password: %v", err)
		}
		if _, _, err := two.RenewRobot(ctx, before, robot.ID); !errors.Is(err, auth.ErrCredentials) {
			t.Errorf("a robot's secret by the former password: %v", err)
		}
		if keys, err := one.Keys(ctx, ada.ID); err != nil || len(keys) != 0 {
			t.Errorf("keys %v, %v", keys, err)
		}
		p, _, secret, err := two.SignIn(request(""), "ada", renewed)
		if err != nil || secret == "" {
			t.Fatalf("by the new one: %v", err)
		}
		if _, _, err := two.CreateKey(ctx, p, auth.NewKey{Name: "ci"}); err != nil {
			t.Errorf("a key by the new one: %v", err)
		}
	})
}
