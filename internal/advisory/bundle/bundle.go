// Package bundle carries the advisories of one installation to another that
// cannot reach the publishers: as one file, compressed, signed and versioned.
//
// A bundle is a tar archive of three entries: manifest.json says what it is,
// manifest.sig is an Ed25519 signature (RFC 8032) of the manifest's bytes, and
// advisories.zst holds the advisories as JSON lines, compressed by zstd; the
// manifest has its digest. The package must not know SQL nor HTTP.
package bundle

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// MediaType is a bundle's where it is stored in a registry.
const MediaType = "application/vnd.pratique.feeds.v1.tar"

// format is the version of what is in a bundle. It changes when an older
// program would misread a newer bundle.
const format = 2

// Errors for which callers branch.
var (
	// ErrUntrusted: the signature is not by the expected key.
	ErrUntrusted = errors.New("the bundle is not signed by a key that is trusted")
	// ErrDamaged: the file is no bundle, or not a whole one.
	ErrDamaged = errors.New("the bundle is damaged")
	// ErrOlder: it is older than the last that was imported.
	ErrOlder = errors.New("the bundle is older than what is stored")
	// ErrFormat: a newer program made it.
	ErrFormat = errors.New("the bundle has a newer format")
)

// Manifest says what a bundle is.
type Manifest struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
	// Program is the version of the program that made it.
	Program string  `json:"program"`
	Feeds   []Count `json:"feeds"`
	// Digest and Size are of advisories.zst: "sha256:…", bytes.
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Count says how much of a feed a bundle holds.
type Count struct {
	Name   string `json:"name"`
	Parts  int    `json:"parts"`
	Groups int    `json:"groups"`
	// LastSuccess is when the feed was last confirmed as a whole.
	LastSuccess time.Time `json:"last_success,omitzero"`
}

// line is one of advisories.zst: it starts a part of a feed, or holds a group, some
// scores or the products of some repositories of that part.
type line struct {
	Feed   string          `json:"feed,omitempty"`
	Part   *feed.PartState `json:"part,omitempty"`
	Group  *group          `json:"group,omitempty"`
	Scores []feed.Score    `json:"scores,omitempty"`
	// Products are in bundles of format 2.
	Products match.Products `json:"products,omitempty"`
}

// group is an advisory.Group as it is carried.
type group struct {
	Name        string                     `json:"name"`
	Fingerprint []byte                     `json:"fingerprint"`
	Advisories  []advisory.Advisory        `json:"advisories,omitempty"`
	Details     map[string]advisory.Detail `json:"details,omitempty"`
}

// The names of the entries, in their order.
const (
	manifestName   = "manifest.json"
	signatureName  = "manifest.sig"
	advisoriesName = "advisories.zst"
)

// SigningKey reads a private key from a PEM file (PKCS #8, as "openssl genpkey
// -algorithm ed25519" writes it). Where there is no such file it makes a key,
// and FILE.pub beside it.
func SigningKey(file string) (key ed25519.PrivateKey, made bool, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		key, err = makeKey(file)
		return key, err == nil, err
	}
	if err != nil {
		return nil, false, fmt.Errorf("signing key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, false, fmt.Errorf("signing key %s: it is no PEM file", file)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, false, fmt.Errorf("signing key %s: %w", file, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, false, fmt.Errorf("signing key %s: it is of type %T, want Ed25519", file, parsed)
	}
	return key, false, nil
}

func makeKey(file string) (ed25519.PrivateKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("make a signing key: %w", err)
	}
	for _, w := range []struct {
		name, kind string
		content    []byte
		mode       os.FileMode
	}{{file, "PRIVATE KEY", secret, 0o600}, {file + ".pub", "PUBLIC KEY", open, 0o644}} {
		if err := create(w.name, pem.EncodeToMemory(&pem.Block{Type: w.kind, Bytes: w.content}), w.mode); err != nil {
			return nil, fmt.Errorf("make a signing key: %w", err)
		}
	}
	return private, nil
}

// create writes a file that must not be there yet.
func create(name string, content []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// PublicKey reads a public key from a PEM file (SubjectPublicKeyInfo).
func PublicKey(file string) (ed25519.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("public key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("public key %s: it is no PEM file of a public key", file)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("public key %s: %w", file, err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("public key %s: it is of type %T, want Ed25519", file, parsed)
	}
	return key, nil
}
