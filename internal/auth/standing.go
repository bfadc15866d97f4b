package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// standingAge is how long it is remembered what someone may do: the most that a
// change of roles takes to be known to every replica.
const standingAge = time.Second

// Subject is who has roles: a user, who may act through an API key, or a robot.
type Subject struct{ UserID, KeyID, RobotID int64 }

func (s Subject) key() [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%d %d %d", s.UserID, s.KeyID, s.RobotID))
}

// Standing is how things stand with a subject.
type Standing struct {
	// Name is the user's, or the robot's without its prefix.
	Name string
	// Tag is another one whenever the password, or the robot's secret, is: what was
	// verified with the former is worth nothing any more. Of a key it is another one
	// than that of a key which had its number before.
	Tag           string
	Administrator bool
	// Disabled is a robot's that may do nothing for now.
	Disabled bool
	// Limited says that the key may do only what Scope grants.
	Limited bool
	// ExpiresAt is the key's or robot's, zero for never.
	ExpiresAt time.Time
	// Grants are those of the user with those of their groups, or of the robot;
	// Scope are those of the key.
	Grants, Scope []Grant
	// Open are the registries that anyone may read.
	Open []string
}

// principal says what may be done at a time, ErrCredentials where nothing.
func (s Standing) principal(of Subject, now time.Time) (Principal, error) {
	if s.Disabled || !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt) {
		return Principal{}, ErrCredentials
	}
	p := Principal{UserID: of.UserID, KeyID: of.KeyID, RobotID: of.RobotID, Name: s.Name, tag: s.Tag, Limited: s.Limited, Until: s.ExpiresAt,
		Administrator: s.Administrator && !s.Limited, Rights: RightsOf(s.Grants)}
	if of.RobotID != 0 {
		p.Name = RobotPrefix + s.Name
	}
	if s.Administrator {
		p.Rights = Rights{Everywhere: everyRight}
	}
	if s.Limited {
		p.Rights = p.Rights.within(RightsOf(s.Scope))
	}
	for _, name := range s.Open {
		p.Rights.add(name, Read)
	}
	return p, nil
}

// stands is a principal until a time, the zero time for ever.
type stands struct {
	principal Principal
	until     time.Time
}

// stand returns what a subject may do now who has shown a secret with a tag, see
// Standing. It returns ErrCredentials where there is no such subject any more, or the
// secret is another one.
func (s *Service) stand(ctx context.Context, of Subject, tag string) (Principal, error) {
	p, err := s.standing(ctx, of)
	if err == nil && p.tag != tag {
		// What is remembered may be older than the secret.
		p, err = s.look(ctx, of)
	}
	if err == nil && p.tag != tag {
		err = ErrCredentials
	}
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// standing returns what a subject may do now, or ErrCredentials.
func (s *Service) standing(ctx context.Context, of Subject) (Principal, error) {
	kept, known := s.standings.get(of.key())
	if !known {
		return s.look(ctx, of)
	}
	if !kept.until.IsZero() && !s.opts.Now().Before(kept.until) {
		return Principal{}, ErrCredentials
	}
	return kept.principal, nil
}

// still returns ErrCredentials where the secret by which somebody is known is another
// one by now. What is to last asks, for what is remembered can be a second old.
func (s *Service) still(ctx context.Context, p Principal) error {
	if p.tag == "" { // the program itself acts for them, by no secret
		return nil
	}
	now, err := s.look(ctx, Subject{UserID: p.UserID, KeyID: p.KeyID, RobotID: p.RobotID})
	if err == nil && now.tag != p.tag {
		err = ErrCredentials
	}
	return err
}

// look is standing, without what is remembered.
func (s *Service) look(ctx context.Context, of Subject) (Principal, error) {
	epoch := s.standings.epoch()
	standing, err := s.store.Standing(ctx, of)
	if errors.Is(err, ErrNotFound) {
		return Principal{}, ErrCredentials
	}
	if err != nil {
		return Principal{}, err
	}
	p, err := standing.principal(of, s.opts.Now())
	if err != nil {
		return Principal{}, err
	}
	s.standings.put(epoch, of.key(), stands{p, standing.ExpiresAt})
	return p, nil
}

// Invalidate forgets what anyone may do. Other replicas know of a change a second later.
func (s *Service) Invalidate() { s.standings.clear() }
