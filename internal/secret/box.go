// Package secret encrypts what has to be kept and given back in the clear, such
// as credentials for other services, so that a copy of the database alone gives
// none away: the key is in a file beside it.
//
// It must not know what the secrets are for.
package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// ErrKey is returned for what was not sealed with this key, or was changed since.
var ErrKey = errors.New("it was encrypted with another key")

// Box seals and opens secrets. It is safe for use by several goroutines.
type Box struct{ aead cipher.AEAD }

// New returns a box with a key of 32 bytes.
func New(key []byte) (*Box, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the key has %d bytes, want 32", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &Box{aead}, nil
}

// Load returns a box with the key in a file, which is made where there is none.
// Replicas that share a database need the same file.
func Load(path string) (*Box, error) {
	text, err := read(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("key file: %w", err)
		}
		text, err = read(path)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return nil, fmt.Errorf("key file %s: it is not base64", path)
	}
	box, err := New(key)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return box, nil
}

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 1024))
	return string(text), err
}

// create makes a key file at once, unless another process was first.
func create(path string) error {
	key := make([]byte, 32)
	_, _ = rand.Read(key)                                // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".key-") // for the owner alone
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

// Seal encrypts a secret for a purpose, which has to be said again to open it: a
// sealed secret cannot be put in another's place.
func (b *Box) Seal(purpose string, secret []byte) []byte {
	return b.aead.Seal(nil, nil, secret, []byte(purpose))
}

// Open returns a sealed secret, or ErrKey.
func (b *Box) Open(purpose string, sealed []byte) ([]byte, error) {
	secret, err := b.aead.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, ErrKey
	}
	return secret, nil
}
