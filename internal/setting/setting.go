// Package setting holds what administrators set while the program runs. What is
// set at its start, by a flag, the environment or the file, cannot be changed here.
//
// It must not know what the settings do.
package setting

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxValue bounds a value, in bytes.
const maxValue = 4096

var (
	// ErrNotFound says that there is no such setting.
	ErrNotFound = errors.New("there is no such setting")
	// ErrFixed says that a setting was given at the start of the program.
	ErrFixed = errors.New("is given at the start of the server, by a flag, the environment or the file, and is changed there")
)

// ErrChanged says that the settings are not as the caller saw them.
var ErrChanged = errors.New("someone else has changed the settings meanwhile")

// InvalidError says what is wrong with a value.
type InvalidError struct{ Name, Reason string }

func (e *InvalidError) Error() string { return e.Name + ": " + e.Reason }

// Known describes a setting.
type Known struct {
	// Name is what the program calls it, in snake_case.
	Name string
	// Title is what people read.
	Title string
	Help  string
	// Default counts where nothing is set.
	Default string
	// Given is the value of the program's start; where it is not empty nothing
	// else counts.
	Given string
	// Check returns what is wrong with a value that is not empty; nil where
	// anything goes.
	Check func(string) error
}

// Stored is a value that someone set.
type Stored struct {
	Value     string
	ChangedAt time.Time
	ChangedBy string
}

// Setting is a setting with what counts.
type Setting struct {
	Known
	// Value counts. ChangedAt and ChangedBy are zero where nobody set it.
	Stored
}

// Fixed reports that it was given at the start.
func (k Known) Fixed() bool { return k.Given != "" }

// Store keeps settings.
type Store interface {
	// Settings returns all that are set, by name.
	Settings(ctx context.Context) (map[string]Stored, error)
	// SetSettings sets some and forgets those with an empty value, in one step,
	// unless check, if there is one, has an error for what is set before.
	SetSettings(ctx context.Context, values map[string]string, at time.Time, by string, check func(map[string]Stored) error) error
}

// Options are the choices of a Service.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// MaxAge bounds how long a value counts after another replica has changed
	// it; a second where zero.
	MaxAge time.Duration
	// Log takes why values could not be read; slog.Default() where nil.
	Log *slog.Logger
}

// Service answers which settings count.
type Service struct {
	store Store
	known []Known
	opts  Options

	mu     sync.Mutex
	stored map[string]Stored
	until  time.Time
}

// New returns a service over the settings that are known.
func New(store Store, known []Known, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxAge == 0 {
		opts.MaxAge = time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Service{store: store, known: known, opts: opts}
}

// Value is what counts; "" for a setting that is not known. Where the store does
// not answer, what was known before goes on to count.
func (s *Service) Value(ctx context.Context, name string) string {
	i := slices.IndexFunc(s.known, func(k Known) bool { return k.Name == name })
	switch {
	case i < 0:
		return ""
	case s.known[i].Fixed():
		return s.known[i].Given
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.opts.Now(); !now.Before(s.until) {
		stored, err := s.store.Settings(ctx)
		if err != nil {
			s.opts.Log.ErrorContext(ctx, "settings cannot be read", "error", err)
		} else {
			s.stored, s.until = stored, now.Add(s.opts.MaxAge)
		}
	}
	return s.known[i].with(s.stored[name]).Value
}

// List returns all that are known, in their order, and their tag.
func (s *Service) List(ctx context.Context) (list []Setting, tag string, err error) {
	stored, err := s.store.Settings(ctx)
	if err != nil {
		return nil, "", err
	}
	list = make([]Setting, len(s.known))
	for i, k := range s.known {
		list[i] = k.with(stored[k.Name])
	}
	return list, s.tag(stored), nil
}

// tag is another one whenever one of the settings that are known is.
func (s *Service) tag(stored map[string]Stored) string {
	sum := sha256.New()
	for _, k := range s.known {
		fmt.Fprintf(sum, "%s %q %d\n", k.Name, stored[k.Name].Value, stored[k.Name].ChangedAt.UnixMicro())
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}

func (k Known) with(stored Stored) Setting {
	switch {
	case k.Fixed():
		stored = Stored{Value: k.Given}
	case stored.Value == "":
		stored = Stored{Value: k.Default}
	}
	return Setting{Known: k, Stored: stored}
}

// Change sets all values or none; an empty one brings the default back. It
// returns an *InvalidError, ErrNotFound or ErrFixed; ErrChanged where tag is
// neither "" nor that of List.
func (s *Service) Change(ctx context.Context, values map[string]string, tag, by string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		i := slices.IndexFunc(s.known, func(k Known) bool { return k.Name == name })
		switch {
		case i < 0:
			return fmt.Errorf("setting %q: %w", name, ErrNotFound)
		case s.known[i].Fixed():
			return fmt.Errorf("setting %s %w", name, ErrFixed)
		case len(value) > maxValue:
			return &InvalidError{name, fmt.Sprintf("is longer than %d bytes", maxValue)}
		case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' }):
			return &InvalidError{name, "must be text without control characters"}
		case value == "" || s.known[i].Check == nil:
			continue
		}
		if err := s.known[i].Check(value); err != nil {
			return &InvalidError{name, err.Error()}
		}
	}
	var check func(map[string]Stored) error
	if tag != "" {
		check = func(stored map[string]Stored) error {
			if s.tag(stored) != tag {
				return ErrChanged
			}
			return nil
		}
	}
	if err := s.store.SetSettings(ctx, values, s.opts.Now(), by, check); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
	return nil
}
