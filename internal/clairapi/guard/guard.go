// Package guard stands before the APIs that scanners' clients speak: it asks for
// credentials, where the configuration wants any, and bounds how often each
// client may ask.
package guard

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pratique/pratique/internal/clairapi/throttle"
)

// Intraservice is the issuer of tokens that Clair's own parts sign.
const Intraservice = "clair-intraservice"

// APIKeyHeader is where Harbor puts an API key.
const APIKeyHeader = "X-ScannerAdapter-API-Key"

// leeway is by how much the clocks of clients may be wrong, as in Clair.
const leeway = 15 * time.Second

// Options are the choices that New leaves to its caller. The zero value lets
// everybody in.
type Options struct {
	// Key is the pre-shared key that tokens are signed with (auth.psk.key of
	// Clair's configuration, decoded); empty is none.
	Key []byte
	// Issuers are those whose tokens are taken, besides Intraservice.
	Issuers []string
	// Known reports whether the request has credentials of this server: an API
	// key, or a user's name and password. Nil is for a server that asks for none.
	Known func(*http.Request) bool
	// Requests bounds how often each client may ask; nil is no bound.
	Requests *throttle.Throttle
	// Now is the clock; time.Now where nil.
	Now func() time.Time
}

// Guard is a handler before another.
type Guard struct {
	opts   Options
	parser *jwt.Parser
}

// New returns a guard.
func New(opts Options) *Guard {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	return &Guard{opts: opts, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithLeeway(leeway), jwt.WithIssuedAt(), jwt.WithTimeFunc(opts.Now),
	)}
}

// Before guards a handler. What fails is answered with 401 and no body, as Clair
// does, or with 429.
func (g *Guard) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			next.ServeHTTP(w, r)
			return
		}
		if !g.opts.Requests.Allow(Client(r)) {
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusTooManyRequests)
			const message = "too many requests from this address"
			// In the words of each API: v1, v4, Harbor's.
			_, _ = w.Write([]byte(`{"Error":{"Message":"` + message + `"},"code":"too-many-requests","message":"` + message + `","error":{"message":"` + message + `"}}` + "\n"))
			return
		}
		if !g.admits(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *Guard) admits(r *http.Request) bool {
	if len(g.opts.Key) == 0 && g.opts.Known == nil {
		return true
	}
	if len(g.opts.Key) > 0 && g.signed(r) {
		return true
	}
	if g.opts.Known == nil {
		return false
	}
	if key := r.Header.Get(APIKeyHeader); key != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return g.opts.Known(r)
}

// signed reports whether the request has a token that the pre-shared key signed,
// of an issuer that is known. Times are looked at where they are there.
func (g *Guard) signed(r *http.Request) bool {
	for _, field := range r.Header["Authorization"] {
		text, ok := strings.CutPrefix(field, "Bearer ")
		if !ok {
			continue
		}
		var claims jwt.RegisteredClaims
		if _, err := g.parser.ParseWithClaims(text, &claims, func(*jwt.Token) (any, error) { return g.opts.Key, nil }); err != nil {
			return false
		}
		return claims.Issuer == Intraservice || slices.Contains(g.opts.Issuers, claims.Issuer)
	}
	return false
}

// Client names who asks: the address.
func Client(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Sign adds a token of the pre-shared key to a request, as Clair's notifier does.
func Sign(r *http.Request, key []byte, now time.Time) error {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: Intraservice, IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-leeway)), ExpiresAt: jwt.NewNumericDate(now.Add(time.Minute)),
	}).SignedString(key)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}
