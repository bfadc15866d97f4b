package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/api"
)

// Explanation writes, for people, why an image is, or is not, affected by a
// vulnerability: the chain from the file that proves a package to the statement
// of a feed and the versions compared.
func Explanation(w io.Writer, name string, e api.ImageExplanation) error {
	var out bytes.Buffer
	verdict := map[string]string{"affected": "IS AFFECTED by", "not_affected": "is not affected by", "undetermined": "may be affected by"}[e.Verdict]
	fmt.Fprintf(&out, "%s %s %s", plain(name), verdict, plain(e.Vulnerability))
	if len(e.Aliases) > 0 {
		fmt.Fprintf(&out, " (%s)", plain(strings.Join(e.Aliases, ", ")))
	}
	fmt.Fprintf(&out, ":\n  %s\n", plain(e.Reason))
	for _, p := range e.Packages {
		fmt.Fprintf(&out, "\n%s %s: %s\n", plain(p.Package.Name), plain(p.Package.Version), strings.ReplaceAll(p.Outcome, "_", " "))
		proof := plain(p.Path)
		if p.Line > 0 {
			proof += fmt.Sprintf(", line %d", p.Line)
		}
		if p.Record != "" {
			proof += ", " + plain(p.Record)
		}
		fmt.Fprintf(&out, "  proved by  %s (%s)\n", proof, p.Detector)
		if p.LayerDigest != "" {
			fmt.Fprintf(&out, "  in layer   %d  %s\n", p.LayerIndex+1, p.LayerDigest)
		}
		if p.CreatedBy != "" {
			fmt.Fprintf(&out, "  made by    %s\n", plain(p.CreatedBy))
		}
		if p.Owner != "" {
			fmt.Fprintf(&out, "  part of    %s, which is judged in its place\n", plain(p.Owner))
		}
		for _, s := range p.Statements {
			statement(&out, s)
		}
	}
	if len(e.Packages) == 0 && e.Advisories > 0 {
		fmt.Fprintf(&out, "  %d statements on it speak of other packages, or of other distributions.\n", e.Advisories)
	}
	if e.Coverage.Verdict != "known" {
		fmt.Fprintf(&out, "\nCoverage of the image is %s: %s\n", e.Coverage.Verdict, plain(strings.Join(e.Coverage.Reasons, "; ")))
	}
	_, err := out.WriteTo(w)
	return err
}

func statement(out *bytes.Buffer, s api.ExplainedStatement) {
	subject := plain(s.Ecosystem + " " + s.Package)
	if s.Source {
		subject += " (source)"
	}
	if s.Module != "" {
		subject += " of module " + plain(s.Module)
	}
	var about []string
	for _, part := range []struct{ word, value string }{
		{"from ", s.Introduced}, {"fixed in ", s.FixedVersion}, {"last affected ", s.LastAffected}, {"", strings.ReplaceAll(s.FixState, "_", " ")},
	} {
		if part.value != "" {
			about = append(about, part.word+plain(part.value))
		}
	}
	says := strings.ReplaceAll(s.Status, "_", " ")
	if len(about) > 0 {
		says += ", " + strings.Join(about, ", ")
	}
	fmt.Fprintf(out, "  %-10s %s%s: %s\n", plain(s.Feed), strings.TrimPrefix(plain(s.ID)+" on ", " on "), subject, says)
	fmt.Fprintf(out, "             so it is %s: %s\n", strings.ReplaceAll(s.Outcome, "_", " "), plain(s.Reason))
	if s.Note != "" {
		fmt.Fprintf(out, "             in its words: %s\n", plain(s.Note))
	}
	if s.CheckedAt != nil {
		fmt.Fprintf(out, "             read from %s, confirmed %s\n", plain(s.URL), s.CheckedAt.UTC().Format(time.RFC3339))
	}
}
