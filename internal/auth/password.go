package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// The cost of a password, as OWASP's Password Storage Cheat Sheet advises.
const (
	argonTime    = 2
	argonMemory  = 19 * 1024 // KiB
	argonThreads = 1
	argonLength  = 32
)

// Bounds of passwords and names, in bytes.
const (
	minPassword, maxPassword = 8, 1024
	maxName                  = 100
)

// hasher makes and checks password hashes in PHC string format
// (https://github.com/P-H-C/phc-string-format), few at a time: each takes 19 MiB.
type hasher struct{ slots chan struct{} }

func newHasher() hasher { return hasher{make(chan struct{}, max(2, runtime.GOMAXPROCS(0)))} }

func (h hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer func() { <-h.slots }()
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails
	sum := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonLength)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, encode(salt), encode(sum)), nil
}

// verify reports whether the password is that of the hash. An empty hash, of a
// user who does not exist, takes as long as any other.
func (h hasher) verify(ctx context.Context, hash, password string) (bool, error) {
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer func() { <-h.slots }()
	p := phc{time: argonTime, memory: argonMemory, threads: argonThreads, salt: make([]byte, 16), sum: make([]byte, argonLength)}
	if hash != "" {
		var err error
		if p, err = parsePHC(hash); err != nil {
			return false, fmt.Errorf("stored password: %w", err)
		}
	}
	sum := argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.threads, uint32(len(p.sum)))
	return subtle.ConstantTimeCompare(sum, p.sum) == 1 && hash != "", nil
}

type phc struct {
	time, memory uint32
	threads      uint8
	salt, sum    []byte
}

var errPHC = errors.New("not an argon2id hash in PHC format")

func parsePHC(text string) (p phc, err error) {
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[0] != "" || fields[1] != "argon2id" || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return phc{}, errPHC
	}
	if n, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &p.memory, &p.time, &p.threads); n != 3 || err != nil {
		return phc{}, errPHC
	}
	if p.salt, err = base64.RawStdEncoding.DecodeString(fields[4]); err != nil {
		return phc{}, errPHC
	}
	if p.sum, err = base64.RawStdEncoding.DecodeString(fields[5]); err != nil {
		return phc{}, errPHC
	}
	const maxMemory, maxTime = 1 << 20, 100 // a corrupt row must not cost a gigabyte
	if p.memory > maxMemory || p.time == 0 || p.time > maxTime || p.threads == 0 || len(p.sum) < 16 || len(p.sum) > 64 || len(p.salt) < 8 {
		return phc{}, errPHC
	}
	return p, nil
}

func checkPassword(password string) error {
	switch {
	case len(password) < minPassword:
		return &FieldError{"password", fmt.Sprintf("must have at least %d bytes", minPassword)}
	case len(password) > maxPassword:
		return &FieldError{"password", fmt.Sprintf("must have at most %d bytes", maxPassword)}
	}
	return nil
}

func checkName(field, name string) error {
	if err := checkText(field, name); err != nil {
		return err
	}
	switch {
	case strings.TrimSpace(name) != name:
		return &FieldError{field, "must not begin or end with a blank"}
	case strings.ContainsAny(name, "<>"):
		return &FieldError{field, "must not have < or >"}
	case slices.ContainsFunc(strings.FieldsFunc(name, func(c rune) bool { return c == '/' || c == '\\' }), func(part string) bool { return part == "." || part == ".." }):
		return &FieldError{field, "must not lead elsewhere as a path does"}
	}
	return nil
}

// checkText checks what somebody else named.
func checkText(field, text string) error {
	switch {
	case text == "":
		return &FieldError{field, "must not be empty"}
	case len(text) > maxName:
		return &FieldError{field, fmt.Sprintf("must have at most %d bytes", maxName)}
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unseen):
		return &FieldError{field, "must not have control characters, nor others that cannot be seen"}
	}
	return nil
}

// unseen reports a character by which a name looks as another does: one that has no
// shape, that turns the direction of those around it, or a blank of another kind.
func unseen(c rune) bool { return !unicode.IsPrint(c) }
