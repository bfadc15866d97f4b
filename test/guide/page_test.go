package guide_test

import (
	"strings"
	"testing"
)

// guided is a page of the documentation, whose commands are run in their order.
type guided struct {
	file string
	// here puts what is so in this test in the place of what the page says.
	here *strings.Replacer
	// want is, by heading, a part of what each of its blocks prints.
	want map[string][]string
	// before is called before each block, where not nil; the block is left out where
	// it answers false.
	before func(step) bool
	// fails says which blocks end with a status other than 0; none where nil.
	fails func(step) bool
	// never is in no output.
	never []string
}

// run runs all blocks.
func (p guided) run(t *testing.T, sh *shell) {
	t.Helper()
	for _, got := range steps(t, "../../docs/"+p.file) {
		if p.before != nil && !p.before(got) {
			continue
		}
		texts := p.want[got.heading]
		if len(texts) == 0 {
			t.Fatalf("%s:%d: nothing is expected of this block of %q", p.file, got.line, got.heading)
		}
		p.want[got.heading] = texts[1:]
		out, status := sh.run(t, p.here.Replace(got.commands))
		if (status != 0) != (p.fails != nil && p.fails(got)) || !strings.Contains(out, texts[0]) {
			t.Errorf("%s:%d: status %d, want %q:\n%s", p.file, got.line, status, texts[0], out)
		}
		for _, never := range p.never {
			if strings.Contains(out, never) {
				t.Errorf("%s:%d: says %q:\n%s", p.file, got.line, never, out)
			}
		}
	}
	for heading, texts := range p.want {
		if len(texts) > 0 {
			t.Errorf("%s: %q has too few blocks", p.file, heading)
		}
	}
}
