package notify

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Kind says how a receiver is told.
type Kind string

// The kinds of receivers.
const (
	// Webhook gets JSON, signed by the Standard Webhooks specification
	// (https://www.standardwebhooks.com).
	Webhook Kind = "webhook"
	// Slack gets blocks for an incoming webhook
	// (https://api.slack.com/messaging/webhooks).
	Slack Kind = "slack"
	// Teams gets an adaptive card for a workflow that starts with a webhook
	// (https://learn.microsoft.com/power-automate/teams/send-a-message-in-teams).
	Teams Kind = "teams"
	// Email gets text.
	Email Kind = "email"
)

// Kinds lists all kinds.
func Kinds() []Kind { return []Kind{Webhook, Slack, Teams, Email} }

var (
	// ErrNotFound says that there is no such receiver or delivery.
	ErrNotFound = errors.New("there is none")
	// ErrExists says that the name is taken.
	ErrExists = errors.New("the name is taken")
	// ErrChanged says that someone else changed it meanwhile.
	ErrChanged = errors.New("it was changed meanwhile")
)

// FieldError says what is wrong with a member.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Receiver is who is told of what.
type Receiver struct {
	ID   int64
	Name string
	Kind Kind
	// URL is where kinds other than Email are told, as far as it is shown: see Shown.
	URL string
	// Address is all of it, sealed. It is nil of an Email, and where URL is all of it.
	Address []byte
	// Recipients are the addresses of an Email.
	Recipients []string
	// Secret signs what a Webhook gets, sealed; nil for no signature.
	Secret []byte
	// Events, none for all; Registries likewise.
	Events     []Type
	Registries []string
	// MinSeverity and ExploitedOnly hold back what is about lesser vulnerabilities.
	MinSeverity   advisory.Severity
	ExploitedOnly bool
	Enabled       bool
	// Version moves at each change.
	Version              int64
	CreatedAt, UpdatedAt time.Time
}

const (
	maxRecipients = 50
	maxList       = 100
	maxURL        = 2048
)

var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._ -]{0,62}$`)

// check returns a *FieldError, or nil.
func (r Receiver) check() error {
	wrong := func(field, format string, args ...any) error {
		return &FieldError{field, fmt.Sprintf(format, args...)}
	}
	if !nameForm.MatchString(r.Name) || strings.HasSuffix(r.Name, " ") {
		return wrong("name", "must be up to 63 letters, digits, spaces, dots, dashes and underscores, and start with a letter or digit")
	}
	switch r.Kind {
	case Webhook, Slack, Teams:
		u, err := url.Parse(r.URL)
		switch {
		case r.URL == "":
			return wrong("url", "is wanted for the kind %s", r.Kind)
		case err != nil || len(r.URL) > maxURL || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
			return wrong("url", "must be an address that starts with https:// or http://")
		case u.User != nil:
			return wrong("url", "must not have a name or password in it")
		case strings.Contains(r.URL, hidden):
			return wrong("url", "must be given whole, or as it is shown, to leave it as it is")
		case len(r.Recipients) > 0:
			return wrong("recipients", "are for the kind email")
		}
	case Email:
		if r.URL != "" {
			return wrong("url", "is not for the kind email")
		}
		if n := len(r.Recipients); n == 0 || n > maxRecipients {
			return wrong("recipients", "must be from 1 to %d addresses", maxRecipients)
		}
		for i, address := range r.Recipients {
			if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
				return wrong(fmt.Sprintf("recipients[%d]", i), "%q is no e-mail address", address)
			}
		}
	default:
		return wrong("kind", "%q is none of webhook, slack, teams and email", r.Kind)
	}
	if r.Secret != nil && r.Kind != Webhook {
		return wrong("secret", "is for the kind webhook")
	}
	for i, e := range r.Events {
		if !slices.Contains(Types(), e) {
			return wrong(fmt.Sprintf("events[%d]", i), "there is no event %q", e)
		}
	}
	if len(r.Events) > maxList || len(r.Registries) > maxList {
		return wrong("registries", "more than %d", maxList)
	}
	return nil
}

// hidden stands for what is not shown of an address.
const hidden = "…"

// Shown is what is shown of an address: who knows all of one of Slack's or Teams' can
// write there, and others have their token in the query.
func Shown(kind Kind, address string) string {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return hidden
	case kind == Slack || kind == Teams:
		return u.Scheme + "://" + u.Host + "/" + hidden
	case u.RawQuery != "" || u.Fragment != "":
		u.RawQuery, u.Fragment = "", ""
		return u.String() + "?" + hidden
	}
	return address
}

// Receivers lists all by name.
func (s *Service) Receivers(ctx context.Context) ([]Receiver, error) { return s.store.Receivers(ctx) }

// Receiver returns one, or ErrNotFound.
func (s *Service) Receiver(ctx context.Context, name string) (Receiver, error) {
	return s.store.Receiver(ctx, name)
}

// Create stores a receiver. It returns a *FieldError or ErrExists. The secret is
// given as it is, and is sealed.
func (s *Service) Create(ctx context.Context, r Receiver) (Receiver, error) {
	return s.save(ctx, r, s.store.CreateReceiver)
}

// Change replaces a receiver but for its name, where its version is still that
// of r. It returns a *FieldError, ErrNotFound or ErrChanged. A nil secret stays
// what it was; an empty one is none any more. So does an address that is given as it
// is shown.
func (s *Service) Change(ctx context.Context, r Receiver) (Receiver, error) {
	stored, err := s.store.Receiver(ctx, r.Name)
	if err != nil {
		return Receiver{}, err
	}
	if r.Version != stored.Version {
		return Receiver{}, fmt.Errorf("receiver %s: %w", r.Name, ErrChanged)
	}
	// Another kind shows more of its address.
	if r.URL == stored.URL && r.URL != "" && r.Kind == stored.Kind {
		if r.URL, err = s.address(stored); err != nil {
			return Receiver{}, err
		}
	}
	return s.save(ctx, r, s.store.UpdateReceiver)
}

// address is where a receiver is told.
func (s *Service) address(r Receiver) (string, error) {
	if r.Address == nil {
		return r.URL, nil
	}
	address, err := s.opts.Sealer.Open(r.addressPurpose(), r.Address)
	if err != nil {
		return "", fmt.Errorf("address of receiver %s: %w", r.Name, err)
	}
	return string(address), nil
}

// sealAddresses seals those that former versions stored as they are.
func (s *Service) sealAddresses(ctx context.Context) error {
	receivers, err := s.store.Receivers(ctx)
	if err != nil {
		return err
	}
	for _, r := range receivers {
		if r.Address == nil && r.URL != "" {
			if err := s.store.SealAddress(ctx, r.ID, Shown(r.Kind, r.URL), s.opts.Sealer.Seal(r.addressPurpose(), []byte(r.URL))); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) save(ctx context.Context, r Receiver, store func(context.Context, Receiver) (Receiver, error)) (Receiver, error) {
	if err := r.check(); err != nil {
		return Receiver{}, err
	}
	if r.URL != "" {
		if err := s.opts.Poster.Check(r.URL); err != nil {
			return Receiver{}, &FieldError{"url", err.Error()}
		}
		r.Address, r.URL = s.opts.Sealer.Seal(r.addressPurpose(), []byte(r.URL)), Shown(r.Kind, r.URL)
	} else {
		r.Address = nil
	}
	if len(r.Secret) > 0 {
		if _, err := signingKey(r.Secret); err != nil {
			return Receiver{}, &FieldError{"secret", err.Error()}
		}
		r.Secret = s.opts.Sealer.Seal(r.purpose(), r.Secret)
	}
	saved, err := store(ctx, r)
	if err != nil {
		return Receiver{}, fmt.Errorf("receiver %s: %w", r.Name, err)
	}
	return saved, nil
}

// Delete forgets a receiver and what it was told. It returns ErrNotFound.
func (s *Service) Delete(ctx context.Context, name string) error {
	return s.store.DeleteReceiver(ctx, name)
}
