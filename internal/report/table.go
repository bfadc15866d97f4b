package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
)

// TableOptions are the choices of a table. The zero value is usable.
type TableOptions struct {
	// Color writes the colours of terminals (ECMA-48, SGR).
	Color bool
	// NoAdvisories is what to do where no feed was ever fetched.
	NoAdvisories string
}

// Table writes the report for people: the most severe findings first, then what
// they are worth.
func Table(w io.Writer, r Report, opts TableOptions) error {
	t := table{Writer: bufio.NewWriter(w), opts: opts, report: r}
	for i, img := range r.Images {
		if i > 0 {
			t.line("")
		}
		t.image(img)
	}
	t.feeds()
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

type table struct {
	*bufio.Writer
	opts   TableOptions
	report Report
}

// line writes a line; the error is kept for Flush.
func (t *table) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// The colours, as parameters of SGR.
const (
	bold   = "1"
	red    = "1;31"
	yellow = "33"
	green  = "32"
	faint  = "2"
)

func (t *table) paint(color, text string) string {
	if !t.opts.Color || color == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

func (t *table) image(img Image) {
	about := plain(img.Name)
	if img.Digest != "" && !strings.Contains(img.Name, img.Digest) {
		about += "  " + img.Digest
	}
	t.line("%s", t.paint(bold, about))
	facts := []string{cmp.Or(plain(img.DistributionName), plain(img.Distribution), "unknown distribution")}
	if img.Platform != "" {
		facts = append(facts, plain(img.Platform))
	}
	facts = append(facts, number(len(img.Packages), "package"))
	if len(img.Layers) > 0 {
		facts = append(facts, number(len(img.Layers), "layer"))
	}
	if img.Size > 0 {
		facts = append(facts, humanize.Bytes(uint64(img.Size)))
	}
	t.line("%s", strings.Join(facts, ", "))
	t.line("")
	t.findings(img)
	t.layers(img)
	t.summary(img)
	t.coverage(img)
	t.policy(img)
}

// row is one line of findings: the packages of one source that a vulnerability
// affects in one way.
type row struct {
	severity advisory.Severity
	names    []string
	finding  api.Finding
}

// rows merges what differs in the package's name only: of a source package that
// was built into seven, one line is enough.
func rows(findings []api.Finding) []*row {
	type key struct {
		vulnerability, severity, source, version, fixed, state, path string
		layer                                                        int
	}
	var all []*row
	known := make(map[key]*row)
	for _, f := range findings {
		k := key{f.Vulnerability, f.Severity, f.Evidence.Subject, f.Package.Version, f.FixedVersion, f.State, f.Evidence.Path, f.LayerIndex}
		one := known[k]
		if one == nil {
			one = &row{severity: severityOf(f), finding: f}
			known[k] = one
			all = append(all, one)
		}
		if !slices.Contains(one.names, f.Package.Name) {
			one.names = append(one.names, f.Package.Name)
		}
	}
	slices.SortStableFunc(all, func(a, b *row) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), strings.Compare(a.finding.Vulnerability, b.finding.Vulnerability),
			strings.Compare(a.names[0], b.names[0]))
	})
	return all
}

// packages names at most three of the packages.
func (r *row) packages() string {
	const shown = 3
	if len(r.names) <= shown {
		return strings.Join(r.names, ", ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(r.names[:shown], ", "), len(r.names)-shown)
}

// widest bounds a cell, in characters.
const widest = 60

func (t *table) findings(img Image) {
	all := rows(img.Findings)
	if len(all) == 0 {
		return
	}
	assessed := slices.ContainsFunc(all, func(r *row) bool { return r.finding.State != assess.Unassessed || r.finding.Blocks })
	head := []string{"VULNERABILITY", "PACKAGE", "INSTALLED", "FIXED"}
	if assessed {
		head = append(head, "STATE")
	}
	if len(img.Layers) > 1 {
		head = append(head, "LAYER")
	}
	head = append(head, "PROVED BY")
	cells := [][]string{head}
	for _, r := range all {
		f := r.finding
		line := []string{f.Vulnerability, r.packages(), f.Package.Version, cmp.Or(f.FixedVersion, "-")}
		if assessed {
			line = append(line, f.State)
		}
		if len(img.Layers) > 1 {
			line = append(line, fmt.Sprint(f.LayerIndex+1))
		}
		line = append(line, place(f.Evidence.Path, f.Evidence.Line))
		for i := range line {
			line[i] = clip(plain(line[i]))
		}
		cells = append(cells, line)
	}
	widths := widthsOf(cells)
	t.line("%s", t.paint(faint, pad(head, widths)))
	for i, r := range all {
		if i == 0 || r.severity != all[i-1].severity {
			t.line("%s", t.paint(colorOf(r.severity), strings.ToUpper(severityName(r.severity))))
		}
		t.line("%s", pad(cells[i+1], widths))
	}
	t.line("")
}

// severityName says of the severity that nobody stated what it is.
func severityName(s advisory.Severity) string {
	if s == advisory.Unknown {
		return "severity unknown"
	}
	return s.String()
}

func colorOf(s advisory.Severity) string {
	switch s {
	case advisory.Critical, advisory.High:
		return red
	case advisory.Medium, advisory.Unknown:
		return yellow
	}
	return bold
}

func place(path string, line int) string {
	if line == 0 {
		return path
	}
	return fmt.Sprintf("%s:%d", path, line)
}

func widthsOf(cells [][]string) []int {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

// pad joins cells into a line of columns.
func pad(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString("  ")
		}
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(cell))))
		}
	}
	return b.String()
}

// layers says what made the layers that findings are in.
func (t *table) layers(img Image) {
	if len(img.Layers) < 2 || len(img.Findings) == 0 {
		return
	}
	cells := [][]string{{"LAYER", "DIGEST", "FINDINGS", "MADE BY"}}
	for _, l := range img.Layers {
		if l.FindingCount > 0 {
			cells = append(cells, []string{fmt.Sprint(l.Index + 1), short(l.Digest), fmt.Sprint(l.FindingCount), instruction(l.CreatedBy)})
		}
	}
	widths := widthsOf(cells)
	for i, line := range cells {
		text := pad(line, widths)
		if i == 0 {
			text = t.paint(faint, text)
		}
		t.line("%s", text)
	}
	t.line("")
}

// short is a digest by which people tell layers apart.
func short(digest string) string {
	algorithm, hex, _ := strings.Cut(digest, ":")
	return algorithm + ":" + hex[:min(12, len(hex))]
}

// instruction is the line of a Dockerfile, without what the builder puts around it.
func instruction(createdBy string) string {
	text := strings.Join(strings.Fields(plain(createdBy)), " ")
	for _, around := range []struct{ prefix, means string }{
		{"/bin/sh -c #(nop) ", ""}, {"RUN /bin/sh -c ", "RUN "}, {"/bin/sh -c ", "RUN "},
	} {
		if rest, ok := strings.CutPrefix(text, around.prefix); ok {
			text = around.means + rest
			break
		}
	}
	return cmp.Or(clip(strings.TrimSuffix(text, " # buildkit")), "-")
}

// summary counts the findings.
func (t *table) summary(img Image) {
	if len(img.Findings) == 0 {
		if img.Coverage.Verdict == string(image.Known) {
			t.line("%s", t.paint(green, "No vulnerability is known of these packages."))
		} else {
			t.line("No finding.")
		}
		return
	}
	n := img.FindingCounts
	var parts []string
	for _, c := range []struct {
		n    int
		name string
	}{{n.Critical, "critical"}, {n.High, "high"}, {n.Medium, "medium"}, {n.Low, "low"}, {n.Negligible, "negligible"}, {n.Unknown, "of unknown severity"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.name))
		}
	}
	fixable, vulnerabilities := 0, make(map[string]bool)
	for _, f := range img.Findings {
		vulnerabilities[f.Vulnerability] = true
		if f.FixedVersion != "" {
			fixable++
		}
	}
	t.line("%s of %s: %s. %d can be fixed.", number(len(img.Findings), "finding"), numberOf(len(vulnerabilities), "vulnerability", "vulnerabilities"),
		strings.Join(parts, ", "), fixable)
}

// coverage says, loudly where need be, how far the findings can be relied on.
func (t *table) coverage(img Image) {
	switch img.Coverage.Verdict {
	case string(image.Known):
		t.line("Coverage is known: every layer was read, and the advisories on %s were confirmed %s.", plain(cmp.Or(img.Distribution, "its packages")), t.ago(img.DataUpdatedAt))
		return
	case string(image.Partial):
		t.line("%s the findings are right, but there may be more:", t.paint(yellow, "COVERAGE IS PARTIAL:"))
	default:
		t.line("%s this image must not be called clean:", t.paint(red, "COVERAGE IS UNKNOWN:"))
	}
	const shown = 10
	for i, reason := range img.Coverage.Reasons {
		if i == shown {
			t.line("  - and %d more reasons; -o json has all", len(img.Coverage.Reasons)-shown)
			break
		}
		t.line("  - %s", shorten(plain(reason), 160))
	}
	if !t.report.Fetched() && t.opts.NoAdvisories != "" {
		t.line("  No advisories were ever fetched. %s", t.opts.NoAdvisories)
	}
}

// policy says what the policy makes of it, where one counts.
func (t *table) policy(img Image) {
	p := img.Policy
	at := "what is assessed everywhere"
	if p.Registry != "" {
		at = "the policy of registry " + plain(p.Registry)
	}
	switch {
	case p.Blocked:
		const shown = 5
		var reasons []string
		for _, r := range p.Reasons {
			text := plain(r.Message)
			if r.Vulnerability != "" {
				text = fmt.Sprintf("%s (%s)", plain(r.Vulnerability), plain(r.State))
			}
			if !slices.Contains(reasons, text) {
				reasons = append(reasons, text)
			}
		}
		if more := len(reasons) - shown; more > 0 {
			reasons = append(reasons[:shown], fmt.Sprintf("and %d more", more))
		}
		t.line("%s by %s: %s.", t.paint(red, "BLOCKED"), at, strings.Join(reasons, ", "))
	case p.Registry != "":
		t.line("Allowed by %s.", at)
	}
}

// feeds says how old the advisories are.
func (t *table) feeds() {
	if len(t.report.Feeds) == 0 || !t.report.Fetched() {
		return
	}
	var parts []string
	never := 0
	for _, f := range t.report.Feeds {
		if f.LastSuccess == nil && f.Error == "" {
			never++
			continue
		}
		text := plain(f.Name) + " " + t.ago(f.LastSuccess)
		switch {
		case f.Stale != "" && f.Error != "":
			text += " (STALE; the last update failed)"
		case f.Stale != "":
			text += " (STALE)"
		case f.Error != "":
			text += " (the last update failed)"
		}
		parts = append(parts, text)
	}
	if never > 0 {
		parts = append(parts, fmt.Sprintf("%d others never", never))
	}
	t.line("Feeds: %s.", strings.Join(parts, ", "))
}

func (t *table) ago(at *time.Time) string {
	if at == nil {
		return "never"
	}
	if text := humanize.RelTime(*at, t.report.ScannedAt, "ago", "from now"); text != "now" {
		return text
	}
	return "just now"
}

func number(n int, what string) string { return numberOf(n, what, what+"s") }

func numberOf(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// plain leaves out of foreign text what a terminal would take for more than text.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r) || r == utf8.RuneError || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// clip keeps a cell from being too wide. Of a path the end tells more.
func clip(s string) string {
	n := utf8.RuneCountInString(s)
	if n > widest && strings.Contains(s, "/") && !strings.Contains(s, " ") {
		return "…" + string([]rune(s)[n-widest+1:])
	}
	return shorten(s, widest)
}

// shorten cuts text to at most size characters.
func shorten(s string, size int) string {
	if utf8.RuneCountInString(s) <= size {
		return s
	}
	return string([]rune(s)[:size-1]) + "…"
}
