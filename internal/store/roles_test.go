package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestRoles: a user has their own roles and those of their groups; what a registry or
// a group is deleted with is gone, whatever comes by the same name.
func TestRoles(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, open := range map[string]bool{"main": false, "team": false, "open": true} {
			_, err := s.CreateRegistry(ctx, registry.Registry{Name: name, AnonymousPull: open})
			must(err)
		}
		ada, err := s.CreateUser(ctx, auth.User{Name: "ada"}, "hash")
		must(err)
		group, err := s.CreateGroup(ctx, auth.Group{Name: "devs", Claim: "/devs"})
		must(err)
		if _, err := s.CreateGroup(ctx, auth.Group{Name: "devs"}); !errors.Is(err, auth.ErrExists) {
			t.Errorf("a second group: %v", err)
		}
		grant := func(kind auth.GranteeKind, name, in string, role auth.Role) (auth.RoleGrant, error) {
			return s.Grant(ctx, auth.RoleGrant{Grant: auth.Grant{Registry: in, Role: role}, To: auth.Grantee{Kind: kind, Name: name}, GrantedBy: "root"})
		}
		own, err := grant(auth.ToUser, "ada", "main", auth.RoleRead)
		must(err)
		_, err = grant(auth.ToGroup, "devs", "team", auth.RolePublish)
		must(err)
		for name, test := range map[string]struct {
			kind     auth.GranteeKind
			name, in string
			want     error
		}{
			"twice":       {auth.ToUser, "ada", "main", auth.ErrExists},
			"nobody":      {auth.ToUser, "bob", "main", auth.ErrNoGrantee},
			"no registry": {auth.ToUser, "ada", "none", auth.ErrRegistry},
			"no kind":     {"key", "ada", "main", auth.ErrNoGrantee},
		} {
			if _, err := grant(test.kind, test.name, test.in, auth.RoleRead); !errors.Is(err, test.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		standing := func(of auth.Subject) string {
			t.Helper()
			st, err := s.Standing(ctx, of)
			if errors.Is(err, auth.ErrNotFound) {
				return "gone"
			}
			must(err)
			slices.SortFunc(st.Grants, func(a, b auth.Grant) int { return len(a.Registry+string(a.Role)) - len(b.Registry+string(b.Role)) })
			return fmt.Sprint(st.Name, st.Grants, st.Scope, st.Open)
		}
		of := auth.Subject{UserID: ada.ID}
		if got := standing(of); got != "ada[{main read}] [] [open]" {
			t.Errorf("at first: %s", got)
		}
		must(s.ClaimGroups(ctx, ada.ID, []string{"/others", "/devs", ""}))
		if got := standing(of); got != "ada[{main read} {team publish}] [] [open]" {
			t.Errorf("with the group: %s", got)
		}
		groups, err := s.UserGroups(ctx, group.ID)
		must(err)
		if len(groups) != 1 || len(groups[0].Members) != 1 || !groups[0].Members[0].Claimed {
			t.Errorf("groups %+v", groups)
		}
		must(s.ClaimGroups(ctx, ada.ID, nil))
		if got := standing(of); got != "ada[{main read}] [] [open]" {
			t.Errorf("without the claim: %s", got)
		}
		// A person's word is not taken back by a claim.
		must(s.AddMember(ctx, group.ID, ada.ID))
		must(s.ClaimGroups(ctx, ada.ID, []string{"/devs"}))
		must(s.ClaimGroups(ctx, ada.ID, nil))
		if got := standing(of); got != "ada[{main read} {team publish}] [] [open]" {
			t.Errorf("put there by a person: %s", got)
		}
		must(s.RemoveMember(ctx, group.ID, ada.ID))
		if err := s.AddMember(ctx, group.ID, 999); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("nobody as a member: %v", err)
		}

		key, err := s.CreateKey(ctx, auth.Key{UserID: ada.ID, Name: "ci", Limited: true, Scope: []auth.Grant{{Registry: "main", Role: auth.RoleRead}}}, []byte{1})
		must(err)
		if _, err := s.CreateKey(ctx, auth.Key{UserID: ada.ID, Name: "x", Limited: true, Scope: []auth.Grant{{Registry: "none", Role: auth.RoleRead}}}, []byte{2}); !errors.Is(err, auth.ErrRegistry) {
			t.Errorf("a key of no registry: %v", err)
		}
		byKey := auth.Subject{UserID: ada.ID, KeyID: key.ID}
		if got := standing(byKey); got != "ada[{main read}] [{main read}] [open]" {
			t.Errorf("by the key: %s", got)
		}
		if keys, err := s.Keys(ctx, ada.ID); err != nil || len(keys) != 1 || len(keys[0].Scope) != 1 {
			t.Errorf("keys %+v, %v", keys, err)
		}

		robot, err := s.CreateRobot(ctx, auth.Robot{Name: "ci", Registry: "team", CreatedBy: "root", ExpiresAt: time.Now().Add(time.Hour),
			Grants: []auth.Grant{{Registry: "team", Role: auth.RolePublish}}}, []byte{3})
		must(err)
		if _, err := grant(auth.ToRobot, "ci", "main", auth.RoleRead); !errors.Is(err, auth.ErrRegistry) {
			t.Errorf("a role elsewhere: %v", err)
		}
		byRobot := auth.Subject{RobotID: robot.ID}
		if got := standing(byRobot); got != "ci[{team publish}] [] [open]" {
			t.Errorf("the robot: %s", got)
		}
		yes := true
		must(s.ChangeRobot(ctx, robot.ID, auth.RobotChange{Disabled: &yes, ExpiresAt: &time.Time{}}))
		if r, err := s.RobotByHash(ctx, []byte{3}); err != nil || !r.Disabled || !r.ExpiresAt.IsZero() || r.Registry != "team" {
			t.Errorf("robot %+v, %v", r, err)
		}
		must(s.SetRobotHash(ctx, robot.ID, "prr_x", []byte{4}))
		if _, err := s.RobotByHash(ctx, []byte{3}); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("by the former secret: %v", err)
		}

		all, err := s.Grants(ctx, auth.GrantFilter{})
		must(err)
		if len(all) != 3 { // not those of keys
			t.Errorf("grants %+v", all)
		}
		if in, err := s.Grants(ctx, auth.GrantFilter{In: "main"}); err != nil || len(in) != 1 || in[0].ID != own.ID || in[0].To.Name != "ada" {
			t.Errorf("grants in main %+v, %v", in, err)
		}
		if _, err := s.Revoke(ctx, own.ID, "team"); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("revoked by way of another registry: %v", err)
		}
		// Another registry by the same name starts anew.
		for _, name := range []string{"main", "team"} {
			must(s.DeleteRegistry(ctx, name, true, "root"))
			_, err := s.CreateRegistry(ctx, registry.Registry{Name: name})
			must(err)
		}
		for name, test := range map[string]struct {
			of   auth.Subject
			want string
		}{
			"user": {of, "ada[] [] [open]"}, "key": {byKey, "ada[] [] [open]"}, "robot": {byRobot, "gone"},
		} {
			if got := standing(test.of); got != test.want {
				t.Errorf("%s afterwards: %s", name, got)
			}
		}
		must(s.DeleteGroup(ctx, group.ID))
		must(s.DeleteKey(ctx, key.ID))
		if got := standing(byKey); got != "gone" {
			t.Errorf("by a key that is gone: %s", got)
		}
	})
}
