package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// Options are the choices of a Service. The zero value is usable.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Remember is how long right credentials are not checked again; 30 s where zero.
	Remember time.Duration
	Logger   *slog.Logger
}

// Service knows users and API keys.
type Service struct {
	store  Store
	opts   Options
	hasher hasher
	seal   [32]byte // keys the memory, so that it holds no password
	known  *memory[shownSecret]
	// standings remembers for a second what subjects may do.
	standings *memory[stands]
	failures  *throttle
}

// New returns a service over the store.
func New(store Store, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Remember == 0 {
		opts.Remember = 30 * time.Second
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	s := &Service{
		store: store, opts: opts, hasher: newHasher(),
		known: newMemory[shownSecret](opts.Remember, opts.Now), failures: newThrottle(opts.Now),
		standings: newMemory[stands](standingAge, opts.Now),
	}
	_, _ = rand.Read(s.seal[:]) // never fails
	return s
}

// EnsureAdmin creates the user admin where there is no user at all. Without a
// password it makes one up and returns it.
func (s *Service) EnsureAdmin(ctx context.Context, password string) (generated string, err error) {
	users, err := s.store.Users(ctx)
	if err != nil || len(users) > 0 {
		return "", err
	}
	if password == "" {
		generated = rand.Text()
		password = generated
	}
	_, err = s.CreateUser(ctx, "admin", password, true)
	if errors.Is(err, ErrExists) { // another replica was first
		return "", nil
	}
	return generated, err
}

// CreateUser adds a user. It returns a *FieldError or ErrExists.
func (s *Service) CreateUser(ctx context.Context, name, password string, administrator bool) (User, error) {
	if err := checkName("name", name); err != nil {
		return User{}, err
	}
	if name == KeyUser || strings.Contains(name, ":") || strings.HasPrefix(name, RobotPrefix) {
		return User{}, &FieldError{"name", fmt.Sprintf("must not be %q, begin with %q nor hold a colon", KeyUser, RobotPrefix)}
	}
	if err := checkPassword(password); err != nil {
		return User{}, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return User{}, err
	}
	return s.store.CreateUser(ctx, User{Name: name, Administrator: administrator}, hash)
}

// Users lists all users by name.
func (s *Service) Users(ctx context.Context) ([]User, error) { return s.store.Users(ctx) }

// User returns one, or ErrNotFound.
func (s *Service) User(ctx context.Context, id int64) (User, error) { return s.store.UserByID(ctx, id) }

// SetPassword replaces a user's password and ends their sessions. It returns a
// *FieldError or ErrNotFound, or ErrChanged where tag is neither "" nor the user's.
func (s *Service) SetPassword(ctx context.Context, id int64, password, tag string) error {
	if err := checkPassword(password); err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	defer s.forget()
	if err := s.store.SetPasswordHash(ctx, id, hash, tag); err != nil {
		return err
	}
	return s.store.DeleteSessions(ctx, id)
}

// DeleteUser removes a user and their keys. It returns ErrNotFound or
// ErrLastAdministrator.
func (s *Service) DeleteUser(ctx context.Context, id int64) error {
	defer s.forget()
	return s.store.DeleteUser(ctx, id)
}

// Authenticate says who makes a request: Bearer with an API key, or Basic with
// a user's name and password, or with the name "api" and an API key; else the
// cookie of a session. A request without credentials, or whose session has ended,
// is anyone's. It returns ErrCredentials or ErrThrottled.
func (s *Service) Authenticate(r *http.Request) (Principal, error) {
	c := credentialsOf(r)
	if c.scheme == schemeNone {
		p, _, err := s.Session(r)
		if errors.Is(err, ErrCredentials) {
			err = nil
		}
		return p, err
	}
	return s.check(r.Context(), c, remoteHost(r))
}

type scheme int

const (
	schemeNone scheme = iota
	schemeBasic
	schemeBearer
	schemeOther
)

type credentials struct {
	scheme         scheme
	user, password string
}

// credentialsOf reads the Authorization header; klar sends an empty one.
func credentialsOf(r *http.Request) credentials {
	header := r.Header.Get("Authorization")
	kind, rest, _ := strings.Cut(header, " ")
	switch {
	case strings.TrimSpace(header) == "":
		return credentials{}
	case strings.EqualFold(kind, "Bearer"):
		return credentials{scheme: schemeBearer, password: strings.TrimSpace(rest)}
	}
	if user, password, ok := r.BasicAuth(); ok {
		if user == "" && password == "" {
			return credentials{}
		}
		return credentials{scheme: schemeBasic, user: user, password: password}
	}
	return credentials{scheme: schemeOther}
}

// check verifies credentials, of which right ones are remembered for a while.
func (s *Service) check(ctx context.Context, c credentials, host string) (Principal, error) {
	mac := hmac.New(sha256.New, s.seal[:])
	fmt.Fprintf(mac, "%d:%s\x00%s", c.scheme, c.user, c.password)
	sealed := [32]byte(mac.Sum(nil))
	if known, ok := s.known.get(sealed); ok {
		// Where another replica changed the secret, it has to be looked at again.
		if p, err := s.stand(ctx, known.Subject, known.tag); !errors.Is(err, ErrCredentials) {
			return p, err
		}
	}
	suspect := c.user + "\x00" + host
	if !s.failures.allowed(suspect) {
		return Principal{}, ErrThrottled
	}
	epoch := s.known.epoch()
	of, err := s.verify(ctx, c)
	if errors.Is(err, ErrCredentials) {
		s.failures.note(suspect)
	}
	if err != nil {
		return Principal{}, err
	}
	s.known.put(epoch, sealed, of)
	return s.stand(ctx, of.Subject, of.tag)
}

// shownSecret is whose secret was right, and the tag that it had, see Standing.
type shownSecret struct {
	Subject
	tag string
}

// forget makes the memory of credentials, and of what they allow, empty.
func (s *Service) forget() {
	s.known.clear()
	s.standings.clear()
}

func (s *Service) verify(ctx context.Context, c credentials) (shownSecret, error) {
	if c.scheme == schemeOther || len(c.password) > maxPassword || len(c.user) > maxName {
		return shownSecret{}, ErrCredentials
	}
	if strings.HasPrefix(c.password, robotPrefix) && (c.scheme == schemeBearer || c.user == KeyUser || strings.HasPrefix(c.user, RobotPrefix)) {
		return s.verifyRobot(ctx, c)
	}
	if c.scheme == schemeBearer || c.user == KeyUser {
		return s.verifyKey(ctx, c.password)
	}
	user, hash, err := s.store.UserByName(ctx, c.user)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return shownSecret{}, err
	}
	right, err := s.hasher.verify(ctx, hash, c.password)
	if err != nil {
		return shownSecret{}, err
	}
	if !right {
		return shownSecret{}, ErrCredentials
	}
	return shownSecret{Subject{UserID: user.ID}, user.Tag}, nil
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
