package auth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestNamesThatDeceive has names refused that look as another does, or that would be
// something else than a name where somebody forgets that they are foreign.
func TestNamesThatDeceive(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx, service := t.Context(), auth.New(s, auth.Options{})
		for _, name := range []string{"the team", "DOMAIN\\ann", "ann@example.com", "Ann O'Neill", "\u00e4\u4e2d", "a..b", "ci/deploy"} {
			if _, err := service.CreateUser(ctx, name, password, false); err != nil {
				t.Errorf("a user %q: %v", name, err)
			}
			if _, err := service.CreateGroup(ctx, auth.Group{Name: name}); err != nil {
				t.Errorf("a group %q: %v", name, err)
			}
		}
		team, err := service.CreateGroup(ctx, auth.Group{Name: "team"})
		if err != nil {
			t.Fatal(err)
		}
		admin, err := service.CreateUser(ctx, "admin", password, true)
		if err != nil {
			t.Fatal(err)
		}
		owner := auth.Principal{UserID: admin.ID, Name: admin.Name, Rights: auth.RightsOf([]auth.Grant{{Role: auth.RoleAdminister}})}
		for _, name := range []string{
			"", " ", " team", "team ", "\u00a0team", "te\u00a0am", "te\u200bam", "te\u200dam", "\u202emaet", "te\u00adam", "te\ufeffam", "te\x00am", "te\nam", "te\x7fam", "te\x85am",
			"te\u2028am", "te\xffam", "te\ue000am", "<b>team</b>", "../team", "a/../team", `a\..\team`, "./team", "..", strings.Repeat("x", 101),
		} {
			for what, do := range map[string]func() error{
				"a user":  func() error { _, err := service.CreateUser(ctx, name, password, false); return err },
				"a group": func() error { _, err := service.CreateGroup(ctx, auth.Group{Name: name}); return err },
				"renamed": func() error { _, err := service.ChangeGroup(ctx, team.ID, auth.GroupChange{Name: &name}); return err },
				"a key":   func() error { _, _, err := service.CreateKey(ctx, owner, auth.NewKey{Name: name}); return err },
			} {
				var field *auth.FieldError
				if err := do(); !errors.As(err, &field) || field.Field != "name" {
					t.Errorf("%s %q: %v", what, name, err)
				}
			}
		}
	})
}
