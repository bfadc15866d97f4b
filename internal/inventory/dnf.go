package inventory

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/inventory/sqlitefile"
)

type dnf struct{}

// NewDnf returns the detector of what DNF remembers: from which repository it
// installed each package. DNF 4 and microdnf keep a history, DNF 5 the state of
// what is installed; RPM's own database does not say it.
func NewDnf() Detector { return dnf{} }

func (dnf) Name() string          { return "dnf" }
func (dnf) Version() int          { return 1 }
func (dnf) Directories() []string { return nil }

func (dnf) Wants(p string) bool {
	switch {
	case strings.HasSuffix(p, "/history.sqlite"):
		return p == "var/lib/dnf/history.sqlite" || p == "usr/lib/sysimage/dnf/history.sqlite"
	case strings.HasSuffix(p, "/nevras.toml"):
		return p == "usr/lib/sysimage/libdnf5/nevras.toml" || p == "usr/lib/sysimage/dnf/nevras.toml"
	}
	return false
}

func (dnf) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "dnf")
	var origins origins
	var err error
	if strings.HasSuffix(p, ".toml") {
		origins, err = found.nevras(c)
	} else {
		origins, err = found.history(c)
	}
	found.file.Origins = origins.list()
	return found.result(err)
}

// origins are the repositories of packages by name-version-release.architecture,
// with the epoch before the version where it is not 0.
type origins map[string]string

// add notes where a package is from; it returns false where there are too many.
func (o origins) add(nevra, repository string) bool {
	// "@System" and the like are none; of the command line came files.
	if !isToken(nevra) || !isToken(repository) || strings.HasPrefix(repository, "@") {
		return true
	}
	if len(o) == maxRecords {
		return false
	}
	o[nevra] = repository
	return true
}

func (o origins) list() []Origin {
	by := make(map[string][]string)
	for nevra, repository := range o {
		by[repository] = append(by[repository], nevra)
	}
	var list []Origin
	for _, repository := range slices.Sorted(maps.Keys(by)) {
		slices.Sort(by[repository])
		list = append(list, Origin{Repository: repository, Packages: by[repository]})
	}
	return list
}

// nevra is the key of a package in origins.
func nevra(p Package) string { return p.Name + "-" + p.Version + "." + p.Architecture }

// history reads DNF 4's history: the last transaction that brought a package says
// where it is from (create_tables.sql of libdnf).
func (f *findings) history(c *Content) (origins, error) {
	content, size, err := c.ReaderAt()
	if err != nil || size == 0 {
		return nil, err
	}
	db, err := sqlitefile.Open(content, size)
	if errors.Is(err, sqlitefile.ErrFormat) {
		f.warn(Malformed, "%s", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list := make(origins)
	packages, repositories := make(map[int64]string), make(map[int64]string)
	full := errors.New("full")
	err = rows(db, "rpm", func(t *sqlitefile.Table, r sqlitefile.Row) error {
		text := func(column string) string { return r.Value(t.Column(column)).Text() }
		version := text("version") + "-" + text("release")
		if epoch := r.Value(t.Column("epoch")).Int(); epoch > 0 {
			version = fmt.Sprintf("%d:%s", epoch, version)
		}
		if len(packages) == maxRecords {
			return full
		}
		packages[r.Value(t.Column("item_id")).Int()] = nevra(Package{Name: text("name"), Version: version, Architecture: text("arch")})
		return nil
	})
	if err == nil {
		err = rows(db, "repo", func(t *sqlitefile.Table, r sqlitefile.Row) error {
			if len(repositories) == maxRecords {
				return full
			}
			repositories[r.Value(t.Column("id")).Int()] = r.Value(t.Column("repoid")).Text()
			return nil
		})
	}
	if err == nil {
		err = rows(db, "trans_item", func(t *sqlitefile.Table, r sqlitefile.Row) error {
			done := max(t.Column("state"), t.Column("done")) // its name has changed
			switch action := r.Value(t.Column("action")).Int(); action {
			case 1, 2, 4, 6, 9: // install, downgrade, obsolete, upgrade, reinstall
			default:
				return nil // what the package went by
			}
			if nevra, ok := packages[r.Value(t.Column("item_id")).Int()]; ok && r.Value(done).Int() == 1 {
				list.add(nevra, repositories[r.Value(t.Column("repo_id")).Int()])
			}
			return nil
		})
	}
	if errors.Is(err, full) {
		f.warn(Limit, "only the first %d packages are read", maxRecords)
		err = nil
	}
	for _, problem := range db.Problems() {
		f.warn(Malformed, "%s", problem)
	}
	return list, err
}

func rows(db *sqlitefile.File, table string, visit func(*sqlitefile.Table, sqlitefile.Row) error) error {
	t := db.Table(table)
	if t == nil {
		return nil // of a history that is empty yet, or that is another's
	}
	return t.Rows(func(r sqlitefile.Row) error { return visit(t, r) })
}

// The two ways to write one entry of DNF 5's state: a line, or a table of its own.
var (
	nevraLine  = regexp.MustCompile(`^"([^"]+)"\s*=\s*\{.*\bfrom_repo\s*=\s*["']([^"']*)["']`)
	nevraTable = regexp.MustCompile(`^\[nevras\."([^"]+)"\]`)
	nevraRepo  = regexp.MustCompile(`^from_repo\s*=\s*["']([^"']*)["']`)
)

// nevras reads DNF 5's nevras.toml (libdnf5/system/state.cpp).
func (f *findings) nevras(c *Content) (origins, error) {
	list := make(origins)
	table := ""
	for in := newLines(c); ; {
		err := in.next()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		nevra, repository := table, ""
		if m := nevraTable.FindSubmatch(in.text); m != nil {
			table = string(m[1])
			continue
		} else if m := nevraLine.FindSubmatch(in.text); m != nil {
			nevra, repository = string(m[1]), string(m[2])
		} else if m := nevraRepo.FindSubmatch(in.text); m != nil && table != "" {
			repository = string(m[1])
		} else {
			continue
		}
		if !list.add(strings.Replace(nevra, "-0:", "-", 1), repository) {
			f.warn(Limit, "only the first %d packages are read", maxRecords)
			return list, nil
		}
	}
}
