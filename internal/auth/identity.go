package auth

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Identity is who a provider of sign-ins says somebody is.
type Identity struct {
	// Issuer and Subject together are theirs for ever.
	Issuer, Subject string
	// Name is what they are to be called here, when they come first.
	Name string
	// Groups are what the provider says they are in.
	Groups []string
}

// IdentityStore keeps who comes from a provider of sign-ins.
type IdentityStore interface {
	// UserOfIdentity makes the user where there is none yet; ErrExists where the
	// name is another's.
	UserOfIdentity(ctx context.Context, i Identity) (u User, created bool, err error)
}

// IdentitySession is how long a session lives that began at a provider: what it says
// of somebody's groups is not older.
const IdentitySession = 12 * time.Hour

// SignInAs begins a session for somebody whom a provider vouches for, and makes the
// user when they come first, without any role of their own. It returns a *FieldError for a
// name that cannot be one, and ErrExists where it is the name of somebody else here:
// who can choose their name there must not become another here.
func (s *Service) SignInAs(r *http.Request, i Identity) (p Principal, session Session, secret string, created bool, err error) {
	if err := checkName("name", i.Name); err != nil {
		return p, session, "", false, err
	}
	if i.Name == KeyUser || strings.Contains(i.Name, ":") || strings.HasPrefix(i.Name, RobotPrefix) {
		return p, session, "", false, &FieldError{"name", fmt.Sprintf("must not be %q, begin with %q nor hold a colon", KeyUser, RobotPrefix)}
	}
	u, created, err := s.store.UserOfIdentity(r.Context(), i)
	if err != nil {
		return p, session, "", false, err
	}
	if err := s.store.ClaimGroups(r.Context(), u.ID, i.Groups); err != nil {
		return p, session, "", false, err
	}
	s.Invalidate()
	if p, err = s.standing(r.Context(), Subject{UserID: u.ID}); err != nil {
		return p, session, "", false, err
	}
	session, secret, err = s.begin(r, p, IdentitySession)
	return p, session, secret, created, err
}
