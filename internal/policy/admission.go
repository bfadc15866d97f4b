package policy

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Answer is what admission says to an image that this server does not hold.
type Answer string

// The answers.
const (
	Allow  Answer = "allow"
	WarnOf Answer = "warn"
	Deny   Answer = "deny"
)

// Admission is how clusters are answered that ask whether they may run images.
type Admission struct {
	// UnknownImages is what becomes of images that are not here.
	UnknownImages Answer `json:"unknown_images"`
	// Hosts are names of this server besides that of its base URL, with their
	// port where they have one, as images are named by them in clusters.
	Hosts []string `json:"hosts"`
}

const maxHosts = 100

// hostName is the host of a reference (distribution/reference, domain).
var hostName = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*$`)

// Check returns an *assess.FieldError where a value cannot be one.
func (a Admission) Check() error {
	if err := oneOf("unknown_images", &a.UnknownImages, Allow, WarnOf, Deny); err != nil {
		return err
	}
	if len(a.Hosts) > maxHosts {
		return invalid("hosts", "has more than %d hosts", maxHosts)
	}
	for i, h := range a.Hosts {
		name, port := h, ""
		if strings.Contains(h, ":") {
			var err error
			if name, port, err = net.SplitHostPort(h); err != nil {
				return invalid(fmt.Sprintf("hosts[%d]", i), "%q is not HOST or HOST:PORT", h)
			}
			if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
				return invalid(fmt.Sprintf("hosts[%d]", i), "%q: %q is not a port", h, port)
			}
		}
		if len(name) > 253 || !hostName.MatchString(name) && net.ParseIP(name) == nil {
			return invalid(fmt.Sprintf("hosts[%d]", i), "%q is not HOST or HOST:PORT", h)
		}
	}
	return nil
}

// Token lets a cluster ask for admission, and for nothing else.
type Token struct {
	ID int64
	// Name is the cluster's, for people. Prefix is the start of the secret.
	Name, Prefix string
	CreatedBy    string
	CreatedAt    time.Time
	// LastUsedAt is zero where it was not used yet.
	LastUsedAt time.Time
}

// ErrExists says that there is a token of that name.
var ErrExists = errors.New("exists already")

// AdmissionStore keeps tokens, and documents of settings.
type AdmissionStore interface {
	// SettingsDocument returns a document with its version; one that was never
	// saved is empty.
	SettingsDocument(ctx context.Context, name string) (content string, version int64, err error)
	// SaveSettingsDocument replaces the one of that version, or returns ErrStale.
	SaveSettingsDocument(ctx context.Context, name, content string, version int64) error
	// CreateAdmissionToken stores a token, or returns ErrExists.
	CreateAdmissionToken(ctx context.Context, t Token, hash []byte) (Token, error)
	AdmissionTokens(ctx context.Context) ([]Token, error)
	// AdmissionToken returns the one with that hash, or ErrNotFound.
	AdmissionToken(ctx context.Context, hash []byte) (Token, error)
	TouchAdmissionToken(ctx context.Context, id int64, at time.Time) error
	// DeleteAdmissionToken returns ErrNotFound where there is none.
	DeleteAdmissionToken(ctx context.Context, id int64) (Token, error)
}

// Clusters are those that ask for admission: how they are answered, and how they
// prove themselves.
type Clusters struct {
	store AdmissionStore
	now   func() time.Time
}

// NewClusters returns them; now is the clock.
func NewClusters(store AdmissionStore, now func() time.Time) *Clusters {
	return &Clusters{store: store, now: now}
}

// admissionDocument is the name of the document that holds Admission.
const admissionDocument = "admission"

// Admission returns how clusters are answered, with a version.
func (c *Clusters) Admission(ctx context.Context) (Admission, int64, error) {
	text, version, err := c.store.SettingsDocument(ctx, admissionDocument)
	if err != nil {
		return Admission{}, 0, fmt.Errorf("admission: %w", err)
	}
	a := Admission{UnknownImages: Allow, Hosts: []string{}}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			return Admission{}, 0, fmt.Errorf("admission: %w", err)
		}
	}
	return a, version, nil
}

// Change edits how clusters are answered. Where version is not 0 it has to be
// that of what is edited. It returns an *assess.FieldError or ErrStale.
func (c *Clusters) Change(ctx context.Context, version int64, edit func(*Admission)) (Admission, int64, error) {
	const tries = 10
	for try := 1; ; try++ {
		a, was, err := c.Admission(ctx)
		if err != nil {
			return a, 0, err
		}
		if version != 0 && version != was {
			return a, 0, fmt.Errorf("admission: %w: it has version %d", ErrStale, was)
		}
		if edit(&a); a.Hosts == nil {
			a.Hosts = []string{}
		}
		if err := a.Check(); err != nil {
			return a, 0, err
		}
		text, err := json.Marshal(a)
		if err != nil {
			return a, 0, err
		}
		err = c.store.SaveSettingsDocument(ctx, admissionDocument, string(text), was)
		if errors.Is(err, ErrStale) && version == 0 && try < tries {
			continue
		}
		if err != nil {
			return a, 0, fmt.Errorf("admission: %w", err)
		}
		return a, was + 1, nil
	}
}

// tokenPrefix starts every token, so that they are recognised, by people and by
// scanners of secrets.
const tokenPrefix = "pqa_"

var tokenName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// CreateToken makes a token and returns it with its secret, which is not kept.
// It returns an *assess.FieldError or ErrExists.
func (c *Clusters) CreateToken(ctx context.Context, name, by string) (t Token, secret string, err error) {
	if !tokenName.MatchString(name) {
		return Token{}, "", invalid("name", "%q is not 1 to 64 letters, digits and . _ - that begin with a letter or digit", name)
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	secret = tokenPrefix + base64.RawURLEncoding.EncodeToString(random)
	t, err = c.store.CreateAdmissionToken(ctx, Token{Name: name, Prefix: secret[:len(tokenPrefix)+6], CreatedBy: by, CreatedAt: c.now()}, hashToken(secret))
	if err != nil {
		return Token{}, "", fmt.Errorf("admission token %q: %w", name, err)
	}
	return t, secret, nil
}

// hashToken needs no salt and no cost: the token is 256 random bits.
func hashToken(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// Tokens lists the tokens by name.
func (c *Clusters) Tokens(ctx context.Context) ([]Token, error) { return c.store.AdmissionTokens(ctx) }

// RevokeToken deletes a token, or returns ErrNotFound.
func (c *Clusters) RevokeToken(ctx context.Context, id int64) (Token, error) {
	t, err := c.store.DeleteAdmissionToken(ctx, id)
	if err != nil {
		return Token{}, fmt.Errorf("admission token %d: %w", id, err)
	}
	return t, nil
}

// Authenticate returns the token of a secret, or ErrNotFound.
func (c *Clusters) Authenticate(ctx context.Context, secret string) (Token, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return Token{}, ErrNotFound
	}
	t, err := c.store.AdmissionToken(ctx, hashToken(secret))
	if err != nil {
		return Token{}, err
	}
	if now := c.now(); now.Sub(t.LastUsedAt) > time.Minute {
		// The token is right all the same where this cannot be noted.
		_ = c.store.TouchAdmissionToken(ctx, t.ID, now)
	}
	return t, nil
}
