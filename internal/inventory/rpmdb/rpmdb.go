// Package rpmdb reads the package database of RPM in its three formats: Berkeley
// DB (hash), NDB and SQLite. It reads from memory or a file, never writes, and
// trusts nothing that it reads: what is damaged is told, the rest is read.
package rpmdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/pratique/pratique/internal/inventory/sqlitefile"
)

// ErrFormat is returned for content that is no package database.
var ErrFormat = errors.New("no package database of RPM")

// Format is how a database is stored.
type Format string

// The formats.
const (
	BDB    Format = "bdb"    // Packages; until RPM 4.15
	NDB    Format = "ndb"    // Packages.db; SUSE
	SQLite Format = "sqlite" // rpmdb.sqlite; since RPM 4.16
)

// Problem is something that could not be read.
type Problem struct {
	// Where names the record or page; What says what is wrong.
	Where, What string
}

func (p Problem) String() string { return p.Where + ": " + p.What }

// What one database may cost.
const (
	maxHeader   = 32 << 20 // bytes of one package's header
	maxPackages = 1_000_000
	maxProblems = 20
)

// Read tells the format from the content and calls visit for each package, in
// the order of the database. The package is valid until visit returns. The error
// is ErrFormat, the reader's or visit's; damage is told in problems.
func Read(r io.ReaderAt, size int64, visit func(*Package) error) (Format, []Problem, error) {
	// Nothing of a sound database is read twice, but for pages that hold two things.
	d := &database{r: r, size: size, visit: visit, allowance: 4*size + 1<<20}
	head := make([]byte, 512)
	n, err := r.ReadAt(head[:min(int64(len(head)), size)], 0)
	if err != nil && err != io.EOF {
		return "", nil, err
	}
	head = head[:n]
	var format Format
	switch {
	case sqlitefile.IsDatabase(head):
		format, err = SQLite, d.sqlite()
	case bytes.HasPrefix(head, []byte("RpmP")):
		format, err = NDB, d.ndb(head)
	case isBDB(head):
		format, err = BDB, d.bdb(head)
	default:
		return "", nil, ErrFormat
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return format, d.problems, err
}

// errEnough ends the reading without an error.
var errEnough = errors.New("enough")

// database is one reading.
type database struct {
	r        io.ReaderAt
	size     int64
	visit    func(*Package) error
	problems []Problem
	packages int
	blob     []byte // of the package that is read
	// allowance is how many bytes may be read still: things that overlap, or
	// lead to each other, must not cost more than the database is worth.
	allowance int64
}

func (d *database) problem(where, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{where, fmt.Sprintf(format, args...)})
	}
}

// read fills b from the offset; ok is false where the database ends before.
func (d *database) read(b []byte, offset int64) (ok bool, err error) {
	if offset < 0 || offset > d.size-int64(len(b)) {
		return false, nil
	}
	if err := d.spend(len(b)); err != nil {
		return false, err
	}
	if n, err := d.r.ReadAt(b, offset); n < len(b) {
		if err == io.EOF || err == nil {
			return false, nil
		}
		return false, err
	}
	return true, nil
}

func (d *database) spend(n int) error {
	if d.allowance -= int64(n); d.allowance < 0 {
		d.problem("database", "its parts overlap: the rest is not read")
		return errEnough
	}
	return nil
}

// grow makes room for a blob of a size that was claimed: what cannot be in the
// database is no size.
func (d *database) grow(where string, n int64) ([]byte, bool) {
	if n > maxHeader || n > d.size || n < 0 {
		d.problem(where, "a header of %d bytes", n)
		return nil, false
	}
	if int64(cap(d.blob)) < n {
		d.blob = make([]byte, n)
	}
	return d.blob[:n], true
}

// header parses a header and hands it on.
func (d *database) header(where string, index int, blob []byte) error {
	if err := d.spend(len(blob)); err != nil {
		return err
	}
	if d.packages++; d.packages > maxPackages {
		d.problem(where, "only the first %d packages are read", maxPackages)
		return errEnough
	}
	p, err := parse(blob)
	if err != nil {
		d.problem(where, "%s", err)
		return nil
	}
	p.Index = index
	return d.visit(p)
}
