package version

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// KeyFormat is raised whenever the key of any version becomes another one: keys
// that were stored under another format have to be made again.
const KeyFormat = 1

// ErrNoKey is returned by Key for a version that Compare can order, but no key
// can. It is known of Maven only, whose order runs in circles there: see keyMaven.
var ErrNoKey = errors.New("version without a key")

// Key returns bytes that keep the scheme's order: bytes.Compare of two keys of
// one scheme is Compare of their versions, and versions that are equal have one
// key. Keys are for databases; they have some bytes more than the version has
// numbers and letters, and cannot be read back.
//
// The error wraps ErrInvalid where Compare's does, and ErrNoKey where there is
// no key; both name the version.
func Key(scheme Scheme, v string) ([]byte, error) {
	// Most keys fit, and are then allocated once.
	key := make([]byte, 0, 32)
	switch scheme {
	case Deb:
		return keyDeb(key, v)
	case APK:
		return keyAPK(key, v)
	case RPM:
		return keyRPM(key, v)
	case NPM, Golang, Cargo, Hex:
		return keySemver(key, scheme, v)
	case PyPI:
		return keyPyPI(key, v)
	case Maven:
		return keyMaven(key, v)
	case Gem:
		return keyGem(key, v)
	case NuGet:
		return keyNuGet(key, v)
	case Composer:
		return keyComposer(key, v)
	case Pub:
		return keyPub(key, v)
	}
	return nil, fmt.Errorf("%w: unknown scheme %q", ErrInvalid, scheme)
}

// Keys are made of tags (single bytes in the order of what they stand for), of
// numbers and of texts. Each ends by itself, so that the first byte in which two
// keys differ is in parts that stand at the same place of their versions.

// Numbers are one byte below shortNumbers. Above, a byte says how many follow
// (1 to 8, big endian), or that decimal digits follow, after their number.
const (
	shortNumbers = 0xf0
	digitsFollow = shortNumbers + 8
	// manyDigits do not fit in 64 bits.
	manyDigits = 20
)

// appendNumber appends the number that a run of digits writes.
func appendNumber(key []byte, run string) []byte { return appendDigits(key, run, 0) }

// appendPart appends a number whose first byte is above 0, so that 0 can end a
// list of them.
func appendPart(key []byte, run string) []byte { return appendDigits(key, run, 1) }

func appendDigits(key []byte, run string, add uint64) []byte {
	run = strings.TrimLeft(run, "0")
	if len(run) >= manyDigits {
		return append(appendCount(append(key, digitsFollow), uint64(len(run))), run...)
	}
	n := add
	for i, unit := len(run)-1, uint64(1); i >= 0; i, unit = i-1, unit*10 {
		n += uint64(run[i]-'0') * unit
	}
	return appendCount(key, n)
}

func appendCount(key []byte, n uint64) []byte {
	if n < shortNumbers {
		return append(key, byte(n))
	}
	size := (bits.Len64(n) + 7) / 8
	key = append(key, shortNumbers+byte(size-1))
	for size > 0 {
		size--
		key = append(key, byte(n>>(8*size)))
	}
	return key
}

// appendDescending is appendCount with the order turned round.
func appendDescending(key []byte, n uint64) []byte {
	start := len(key)
	key = appendCount(key, n)
	for i := start; i < len(key); i++ {
		key[i] = ^key[i]
	}
	return key
}

// appendText appends text without a byte 0, which ends it.
func appendText(key []byte, text string) []byte { return append(append(key, text...), 0) }

// appendFold is appendText of the text in lower case.
func appendFold(key []byte, text string) []byte {
	for i := range len(text) {
		key = append(key, lower(text[i]))
	}
	return append(key, 0)
}
