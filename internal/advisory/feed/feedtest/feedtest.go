// Package feedtest is what the tests of feeds have in common.
package feedtest

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

var update = flag.Bool("update", false, "write the golden files")

// Part is the part of a feed that has a name, or one that only has that.
func Part(f feed.Feed, name string) feed.Part {
	for _, p := range f.Parts() {
		if p.Name == name {
			return p
		}
	}
	return feed.Part{Name: name}
}

// Parse returns what a feed emits of a document, in its order.
func Parse(f feed.Feed, part feed.Part, document io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	parsed, err = f.Parse(context.Background(), part, document, func(g advisory.Group) error {
		groups = append(groups, g)
		return nil
	})
	return groups, parsed, err
}

// Summary writes what a document was found to be, but for its groups.
func Summary(b *strings.Builder, parsed feed.Parsed) {
	fmt.Fprintf(b, "ecosystems %q\nskipped %d\n", parsed.Ecosystems, parsed.Skipped.Count)
	for _, name := range parsed.Skipped.Names {
		fmt.Fprintf(b, "  %s\n", name)
	}
}

// Golden compares with a file of testdata, which -update writes.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
