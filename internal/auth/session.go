package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"time"
)

// How long a session lives: without use, and at most.
const (
	SessionIdle = 24 * time.Hour
	SessionMost = 14 * 24 * time.Hour
)

// touchEvery is how often the use of a session is noted.
const touchEvery = 5 * time.Minute

// The cookie of a session. Over TLS its name has the prefix that keeps other
// hosts of a domain from setting it (RFC 6265bis, section 4.1.3).
const (
	plainCookie  = "pratique_session"
	secureCookie = "__Host-pratique_session"
)

// Session is a person who signed in with a browser, without its secret.
type Session struct {
	ID, UserID                   int64
	CreatedAt, UsedAt, ExpiresAt time.Time
}

// SessionStore keeps sessions by the hash of their secret. Methods return ErrNotFound.
type SessionStore interface {
	CreateSession(ctx context.Context, session Session, hash []byte) (Session, error)
	SessionByHash(ctx context.Context, hash []byte) (Session, User, error)
	TouchSession(ctx context.Context, id int64, at time.Time) error
	DeleteSession(ctx context.Context, id int64) error
	DeleteSessions(ctx context.Context, userID int64) error
}

// SignIn begins a session for a user's name and password, and ends the one that
// the request came with. The secret goes into a cookie. It returns ErrCredentials
// or ErrThrottled.
func (s *Service) SignIn(r *http.Request, name, password string) (p Principal, session Session, secret string, err error) {
	if name == KeyUser { // a session would outlive the key
		return p, session, "", ErrCredentials
	}
	if p, err = s.check(r.Context(), credentials{scheme: schemeBasic, user: name, password: password}, remoteHost(r)); err != nil {
		return p, session, "", err
	}
	session, secret, err = s.begin(r, p, SessionMost)
	return p, session, secret, err
}

// begin ends the session that a request came with, and begins another: a secret that
// somebody else put into the browser is worth nothing.
func (s *Service) begin(r *http.Request, p Principal, most time.Duration) (session Session, secret string, err error) {
	if err := s.SignOut(r); err != nil {
		return session, "", err
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	secret = base64.RawURLEncoding.EncodeToString(random)
	now := s.opts.Now()
	session, err = s.store.CreateSession(r.Context(), Session{UserID: p.UserID, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(most)}, hashKey(secret))
	if errors.Is(err, ErrNotFound) { // deleted meanwhile
		err = ErrCredentials
	}
	if err == nil {
		// A change of the password ends the sessions that it finds: not one that was
		// begun meanwhile, nor where another replica remembered the former password.
		if err = s.still(r.Context(), p); errors.Is(err, ErrCredentials) {
			if gone := s.store.DeleteSession(r.Context(), session.ID); gone != nil && !errors.Is(gone, ErrNotFound) {
				err = gone
			}
		}
	}
	if err != nil {
		return Session{}, "", err
	}
	return session, secret, nil
}

// SignOut ends the session of a request, if it has one.
func (s *Service) SignOut(r *http.Request) error {
	_, session, err := s.Session(r)
	if errors.Is(err, ErrCredentials) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.store.DeleteSession(r.Context(), session.ID); err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// Session returns the live session of a request's cookie, or ErrCredentials.
func (s *Service) Session(r *http.Request) (Principal, Session, error) {
	secret := sessionSecret(r)
	if secret == "" {
		return Principal{}, Session{}, ErrCredentials
	}
	session, user, err := s.store.SessionByHash(r.Context(), hashKey(secret))
	if errors.Is(err, ErrNotFound) {
		return Principal{}, Session{}, ErrCredentials
	}
	if err != nil {
		return Principal{}, Session{}, err
	}
	now := s.opts.Now()
	if !now.Before(session.ExpiresAt) || now.Sub(session.UsedAt) >= SessionIdle {
		return Principal{}, Session{}, ErrCredentials
	}
	if now.Sub(session.UsedAt) >= touchEvery {
		if err := s.store.TouchSession(r.Context(), session.ID, now); err != nil {
			// The session is right all the same.
			s.opts.Logger.WarnContext(r.Context(), "use of a session was not noted", "session", session.ID, "error", err)
		}
	}
	p, err := s.standing(r.Context(), Subject{UserID: user.ID})
	return p, session, err
}

// sessionSecret is the value of the cookie; "" where there is none.
func sessionSecret(r *http.Request) string {
	const length = 43 // of 256 bits in base64url
	for _, name := range []string{secureCookie, plainCookie} {
		if c, err := r.Cookie(name); err == nil && len(c.Value) == length {
			return c.Value
		}
	}
	return ""
}

// SessionCookie carries a session's secret to the browser, for requests that
// come from our own pages only and that no script can read; secure says that
// they come over TLS. An empty secret takes the cookie away.
func SessionCookie(secret string, secure bool) *http.Cookie {
	c := &http.Cookie{Name: plainCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		MaxAge: int(SessionMost / time.Second), Secure: secure}
	if secure {
		c.Name = secureCookie
	}
	if secret == "" {
		c.MaxAge = -1
	}
	return c
}
