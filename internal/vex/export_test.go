package vex_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

func export() vex.Export {
	decided := func(vulnerability, pkg, typ, comment string, id int64, blocks bool) vex.Decided {
		d := vex.Decided{Vulnerability: vulnerability, Package: apk(pkg, "1.2.5-r0"), FirstSeen: noon, Blocks: blocks}
		if id != 0 {
			d.Assessment = assess.Assessment{ID: id, Type: typ, Comment: comment, Author: "ann", CreatedAt: noon.Add(time.Duration(id) * time.Hour)}
		}
		return d
	}
	return vex.Export{Digest: digest, Repository: "main/team/app", Created: noon, Version: "1.2.3", Type: "Ignore", Decided: []vex.Decided{
		decided("CVE-2", "musl-utils", "Ignore", "Nothing listens <here> & there.", 1, false),
		decided("CVE-2", "musl", "Ignore", "Nothing listens <here> & there.", 1, false),
		decided("CVE-1", "musl", "", "", 0, false),
		decided("CVE-3", "musl", "Block", "", 2, true),
		decided("CVE-4", "musl", "Caution", "Until the release.", 3, false),
		decided("CVE-5", "musl", "Ignore", "", 4, false),
	}}
}

func TestExport(t *testing.T) {
	for _, format := range []string{vex.FormatOpenVEX, vex.FormatCycloneDX} {
		t.Run(format, func(t *testing.T) {
			write := vex.WriteOpenVEX
			if format == vex.FormatCycloneDX {
				write = vex.WriteCycloneDX
			}
			var first, second bytes.Buffer
			if err := write(&first, export()); err != nil {
				t.Fatal(err)
			}
			turned := export()
			slices.Reverse(turned.Decided)
			if err := write(&second, turned); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.String(), second.String()); diff != "" {
				t.Errorf("another order of findings (-first +second):\n%s", diff)
			}
			golden(t, "export-"+format+".json", first.Bytes())

			d, err := vex.Read(&first, vex.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			matcher := vex.NewMatcher(vex.Subject{Digests: []string{digest}}, nil)
			for _, s := range d.Statements {
				if !matcher.Covers(s.Products, nil) {
					t.Errorf("%s is not about the image: %+v", s.Vulnerability, s.Products)
				}
				got = append(got, s.Vulnerability+" "+string(s.Status)+" "+s.Impact+s.Action)
			}
			want := []string{
				"CVE-1 under_investigation ", "CVE-2 not_affected Nothing listens <here> & there.", "CVE-3 affected Assessed as Block by ann.",
				"CVE-4 affected Until the release.", "CVE-5 not_affected Assessed as Ignore by ann.",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
			if d.Author != "ann" || len(d.Skipped) > 0 || d.Format != format {
				t.Errorf("read back: %+v", d)
			}
		})
	}
}
