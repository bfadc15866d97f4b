package clair_test

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// smallMirror is a mirror for a comparison that is soon loaded: of the real feeds
// the branches of Alpine that are named; and of OSV's archives each record that
// names one of the modules, and every twentieth of the others, which must not be found.
func smallMirror(t *testing.T, feeds string, branches, modules []string) string {
	t.Helper()
	mirror := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const secdb, osv = "secdb.alpinelinux.org", "osv-vulnerabilities.storage.googleapis.com"
	entries, err := os.ReadDir(filepath.Join(feeds, secdb))
	must(err)
	for _, e := range entries {
		from, to := filepath.Join(feeds, secdb, e.Name()), filepath.Join(mirror, secdb, e.Name())
		switch {
		case slices.Contains(branches, e.Name()):
			must(os.CopyFS(to, os.DirFS(from)))
		case e.IsDir() && strings.HasPrefix(e.Name(), "v"): // Clair counts the branches up
			must(os.MkdirAll(to, 0o755))
		case !e.IsDir():
			content, err := os.ReadFile(from)
			must(err)
			must(os.MkdirAll(filepath.Dir(to), 0o755))
			must(os.WriteFile(to, content, 0o644))
		}
	}
	must(os.MkdirAll(filepath.Join(mirror, osv), 0o755))
	must(os.WriteFile(filepath.Join(mirror, osv, "ecosystems.txt"), []byte("Go\ncrates.io\n"), 0o644))
	for _, ecosystem := range []string{"Go", "crates.io"} {
		must(os.MkdirAll(filepath.Join(mirror, osv, ecosystem), 0o755))
		must(someRecords(filepath.Join(feeds, osv, ecosystem, "all.zip"), filepath.Join(mirror, osv, ecosystem, "all.zip"), modules))
	}
	return mirror
}

func someRecords(from, to string, modules []string) (err error) {
	archive, err := zip.OpenReader(from)
	if err != nil {
		return err
	}
	defer archive.Close()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, f := range archive.File {
		content, err := func() ([]byte, error) {
			r, err := f.Open()
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}()
		if err != nil {
			return err
		}
		if i%20 > 0 && !slices.ContainsFunc(modules, func(m string) bool { return bytes.Contains(content, []byte(`"`+m+`"`)) }) {
			continue
		}
		record, err := w.Create(f.Name)
		if err != nil {
			return err
		}
		if _, err := record.Write(content); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), os.WriteFile(to, out.Bytes(), 0o644))
}

// modulesOf lists the modules of a Go program, and what Go's own records name.
func modulesOf(t *testing.T, program string) []string {
	t.Helper()
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	list := []string{"stdlib", "toolchain", info.Main.Path}
	for _, d := range info.Deps {
		list = append(list, d.Path)
		if d.Replace != nil {
			list = append(list, d.Replace.Path)
		}
	}
	return list
}
