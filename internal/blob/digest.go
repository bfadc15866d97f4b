package blob

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
)

// Algorithm is a digest algorithm that the OCI image specification registers
// (descriptor.md, "Registered Algorithms") and that is accepted here.
type Algorithm string

// The algorithms.
const (
	SHA256 Algorithm = "sha256"
	SHA512 Algorithm = "sha512"
)

// ErrDigestMalformed is returned for what is no digest, or one of an algorithm
// that is not accepted.
var ErrDigestMalformed = errors.New("malformed digest")

// ParseAlgorithm checks the name of an algorithm.
func ParseAlgorithm(name string) (Algorithm, error) {
	switch a := Algorithm(name); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", fmt.Errorf("%w: algorithm %q is none of sha256, sha512", ErrDigestMalformed, clip(name))
}

// ParseDigest splits "sha256:HEX" into its algorithm and its 64 or 128
// lower-case hexadecimal digits. What it accepts is safe in a file name.
func ParseDigest(digest string) (Algorithm, string, error) {
	name, encoded, ok := strings.Cut(digest, ":")
	if !ok {
		return "", "", fmt.Errorf("%w: %q has no algorithm", ErrDigestMalformed, clip(digest))
	}
	algorithm, err := ParseAlgorithm(name)
	if err != nil {
		return "", "", err
	}
	if want := algorithm.digits(); len(encoded) != want {
		return "", "", fmt.Errorf("%w: %q has %d digits, want %d", ErrDigestMalformed, clip(digest), len(encoded), want)
	}
	for i := range len(encoded) {
		if c := encoded[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", "", fmt.Errorf("%w: %q has digits other than 0-9 and a-f", ErrDigestMalformed, clip(digest))
		}
	}
	return algorithm, encoded, nil
}

func (a Algorithm) digits() int {
	if a == SHA512 {
		return 2 * sha512.Size
	}
	return 2 * sha256.Size
}

// New returns a hash of the algorithm.
func (a Algorithm) New() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Digest writes the state of a hash of the algorithm as a digest.
func (a Algorithm) Digest(h hash.Hash) string {
	return string(a) + ":" + hex.EncodeToString(h.Sum(nil))
}

// Of returns the digest of content.
func (a Algorithm) Of(content []byte) string {
	h := a.New()
	h.Write(content)
	return a.Digest(h)
}

// clip keeps what a client sent from filling messages.
func clip(s string) string {
	const most = 150
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
