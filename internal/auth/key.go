package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"time"
)

// keyPrefix starts every API key, so that they are recognised, by people and
// by scanners of secrets.
const keyPrefix = "prq_"

// maxGrants bounds what a key, or a robot, is granted when it is made.
const maxGrants = 200

// NewKey is an API key that is to be made.
type NewKey struct {
	Name string
	// ExpiresAt is zero for never.
	ExpiresAt time.Time
	// Limited says that the key may do only what Scope grants.
	Limited bool
	Scope   []Grant
}

// CreateKey makes an API key for a principal and returns it with its secret, which
// is not kept. It returns a *FieldError, ErrRegistry, ErrOutlasts, ErrOwnAlone for a
// principal who has no keys, or ErrCredentials where their secret is another one by now.
func (s *Service) CreateKey(ctx context.Context, p Principal, wanted NewKey) (k Key, secret string, err error) {
	if !p.OwnsAccount() {
		return Key{}, "", ErrOwnAlone
	}
	if err := checkName("name", wanted.Name); err != nil {
		return Key{}, "", err
	}
	if !wanted.ExpiresAt.IsZero() && !wanted.ExpiresAt.After(s.opts.Now()) {
		return Key{}, "", &FieldError{"expires_at", "must be in the future"}
	}
	if err := p.CheckLasting(wanted.ExpiresAt); err != nil {
		return Key{}, "", err
	}
	if err := checkGrants("scope", wanted.Scope, p); err != nil {
		return Key{}, "", err
	}
	if err := s.still(ctx, p); err != nil {
		return Key{}, "", err
	}
	secret = newSecret(keyPrefix)
	k, err = s.store.CreateKey(ctx, Key{UserID: p.UserID, Name: wanted.Name, Prefix: shown(secret, keyPrefix),
		ExpiresAt: wanted.ExpiresAt, Limited: wanted.Limited, Scope: wanted.Scope}, hashKey(secret))
	if err != nil {
		return Key{}, "", err
	}
	return k, secret, nil
}

// Keys lists a user's keys, everyone's where userID is 0.
func (s *Service) Keys(ctx context.Context, userID int64) ([]Key, error) {
	return s.store.Keys(ctx, userID)
}

// RevokeKey deletes a key, or returns ErrNotFound.
func (s *Service) RevokeKey(ctx context.Context, id int64) error {
	defer s.forget()
	return s.store.DeleteKey(ctx, id)
}

func (s *Service) verifyKey(ctx context.Context, secret string) (shownSecret, error) {
	if !strings.HasPrefix(secret, keyPrefix) {
		return shownSecret{}, ErrCredentials
	}
	key, user, err := s.store.KeyByHash(ctx, hashKey(secret))
	if errors.Is(err, ErrNotFound) {
		return shownSecret{}, ErrCredentials
	}
	if err != nil {
		return shownSecret{}, err
	}
	now := s.opts.Now()
	if !key.ExpiresAt.IsZero() && !now.Before(key.ExpiresAt) {
		return shownSecret{}, ErrCredentials
	}
	if now.Sub(key.LastUsedAt) >= usedEvery {
		if err := s.store.TouchKey(ctx, key.ID, now); err != nil {
			// The key is right all the same.
			s.opts.Logger.WarnContext(ctx, "use of an API key was not noted", "key", key.ID, "error", err)
		}
	}
	return shownSecret{Subject{UserID: user.ID, KeyID: key.ID}, key.Tag}, nil
}

// usedEvery is how often the use of a key or robot is noted.
const usedEvery = time.Minute

// newSecret makes a secret of 256 random bits.
func newSecret(prefix string) string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return prefix + base64.RawURLEncoding.EncodeToString(random)
}

// shown is the part of a secret by which people recognise it.
func shown(secret, prefix string) string { return secret[:len(prefix)+6] }

// hashKey needs no salt and no cost: the key is 256 random bits.
func hashKey(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}
