package redhat_test

import (
	"archive/tar"
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestArchivesThatLie: whatever an archive is, what is stored stays, or is what
// sound documents of it say, and the error or the status tells what is wrong.
func TestArchivesThatLie(t *testing.T) {
	sound := []file{{name: document(1), content: vex(number(1), "1-9")}, {name: document(2), content: vex(number(2), "1-9")}}
	with := func(files ...file) string { return archive(t, append(slices.Clone(sound), files...)...) }
	whole := with()
	var empty bytes.Buffer
	z, err := zstd.NewWriter(&empty)
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, archive string
		err           string // "": none
		skipped       string
		changed       int
		left          int
	}{
		{name: "whole", archive: whole, changed: 2, left: 2},
		{name: "names with a dot, and a folder", archive: archive(t, file{name: "./" + document(1), content: vex(number(1), "1-9")}, file{name: "csaf_vex_2031/" + document(2), content: vex(number(2), "1-9")}), changed: 2, left: 2},
		{name: "names that lead away", archive: with(file{name: "../../../etc/" + document(3), content: vex(number(3), "1-1")}, file{name: "/" + document(4), content: vex(number(4), "1-1")},
			file{name: "2031/../../cve-2031-1003.json", content: vex(number(3), "1-1")}), skipped: "../../../etc/", changed: 2, left: 2},
		{name: "links and devices", archive: with(file{name: document(3), content: "/etc/passwd", kind: tar.TypeSymlink}, file{name: document(4), content: document(1), kind: tar.TypeLink}, file{name: document(5), kind: tar.TypeFifo}),
			skipped: document(3), changed: 2, left: 2},
		{name: "the same name twice", archive: with(file{name: document(1), content: vex(number(1), "0-0")}), skipped: "it is there twice", changed: 2, left: 2},
		{name: "another document under a name", archive: archive(t, sound[0], file{name: document(2), content: vex(number(1), "0-0")}), skipped: "it is the document of", changed: 1, left: 2},
		{name: "a broken document", archive: archive(t, sound[0], file{name: document(2), content: "{"}), skipped: "unexpected EOF", changed: 1, left: 2},
		{name: "a document without end", archive: archive(t, sound[0], file{name: document(2), content: strings.Repeat(" ", 40<<20)}), skipped: "larger than", changed: 1, left: 2},
		{name: "cut in the middle", archive: whole[:len(whole)/2], err: "unexpected EOF", left: 2},
		{name: "cut at its end", archive: whole[:len(whole)-2], err: "unexpected EOF", left: 2},
		{name: "nothing in it", archive: archive(t), err: "no documents", left: 2},
		{name: "no tar", archive: empty.String(), err: "no documents", left: 2},
		{name: "no zstd", archive: "PK\x03\x04 nothing of the kind", err: "magic number", left: 2},
		{name: "most is missing", archive: archive(t, file{name: document(9), content: "{"}), err: "held back", left: 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPublisher(t)
			p.files["archive_latest.txt"] = "csaf_vex_2031-03-02.tar.zst"
			p.files["csaf_vex_2031-03-02.tar.zst"] = archive(t, file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")})
			p.files["changes.csv"] = listed(document(1), "2031-02-01T00:00:00Z")
			s := storetest.SQLite(t, store.Options{})
			if _, err := newCrawling(t, s, p.URL).run(); err != nil {
				t.Fatal(err)
			}
			// The same at another place: everything is read anew.
			other := newPublisher(t)
			other.files = p.files
			other.files["csaf_vex_2031-03-02.tar.zst"] = test.archive
			c := newCrawling(t, s, other.URL)
			result, err := c.run()
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
			if result.Changed != test.changed || result.Removed != 0 || len(c.names()) != test.left {
				t.Errorf("%+v; %d are left", result, len(c.names()))
			}
			if names := strings.Join(result.Skipped.Names, "\n"); !strings.Contains(names, test.skipped) || test.err == "" && (test.skipped == "") != (names == "") {
				t.Errorf("skipped %q, want one with %q", names, test.skipped)
			}
			if _, err := os.Stat("/etc/" + document(3)); err == nil {
				t.Error("a file was written")
			}
		})
	}
}

func TestListsThatLie(t *testing.T) {
	tests := []struct {
		name    string
		change  func(p *publisher)
		err     string
		skipped string
	}{
		{"a page", func(p *publisher) { p.files["changes.csv"] = "<html>" }, "web page", ""},
		{"no list", func(p *publisher) { p.files["changes.csv"] = "{}\n[]\n" }, "names a document", ""},
		{"nothing", func(p *publisher) { p.files["changes.csv"] = "" }, "empty", ""},
		{"missing", func(p *publisher) { delete(p.files, "changes.csv") }, "not published", ""},
		{"quotes that do not end", func(p *publisher) { p.files["changes.csv"] += "\"2031" }, "quote", ""},
		{"paths that lead away", func(p *publisher) {
			p.files["changes.csv"] += listed("../../../cve-2031-1000.json", "2031-03-03T00:00:00Z")
		}, "", "names no document"},
		{"no time", func(p *publisher) { p.files["changes.csv"] += listed(document(1), "yesterday") }, "", "yesterday"},
		{"a time to come", func(p *publisher) { p.files["changes.csv"] += listed(document(1), "2999-01-01T00:00:00Z") }, "", "yet to come"},
		{"an archive elsewhere", func(p *publisher) {
			p.files["archive_latest.txt"] = "https://other.example/csaf_vex_2031-03-02.tar.zst"
		}, "names no archive", ""},
		{"an archive of no day", func(p *publisher) { p.files["archive_latest.txt"] = "csaf_vex_2031-13-02.tar.zst" }, "names no archive", ""},
		{"an archive that is not there", func(p *publisher) { p.files["archive_latest.txt"] = "csaf_vex_2031-03-03.tar.zst" }, "", ""},
		{"all is deleted", func(p *publisher) {
			p.files["deletions.csv"] = listed(document(1), "2031-03-03T00:00:00Z", document(2), "2031-03-03T00:00:00Z")
		}, "held back", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPublisher(t)
			p.files["archive_latest.txt"] = "csaf_vex_2031-03-02.tar.zst"
			p.files["csaf_vex_2031-03-02.tar.zst"] = archive(t, file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")})
			p.files[document(1)], p.files[document(2)] = vex(number(1), "1-1"), vex(number(2), "1-1")
			p.files["changes.csv"] = listed(document(1), "2031-02-01T00:00:00Z")
			s := storetest.SQLite(t, store.Options{})
			if _, err := newCrawling(t, s, p.URL).run(); err != nil {
				t.Fatal(err)
			}
			other := newPublisher(t)
			other.files = p.files
			test.change(other)
			c := newCrawling(t, s, other.URL)
			result, err := c.run()
			if test.err == "" && err != nil || test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)) {
				t.Errorf("error %v, want one with %q", err, test.err)
			}
			if names := strings.Join(result.Skipped.Names, "\n"); !strings.Contains(names, test.skipped) {
				t.Errorf("skipped %q, want one with %q", names, test.skipped)
			}
			same(t, "stored", c.names(), number(1), number(2))
		})
	}
}
