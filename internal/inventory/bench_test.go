package inventory

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkCoalesce coalesces fifty layers, each with a database of 500 packages.
func BenchmarkCoalesce(b *testing.B) {
	var packages []string
	var layers []*Layer
	for i := range 500 {
		packages = append(packages, fmt.Sprintf("package%d 1", i))
	}
	for i := range 50 {
		packages[i] = fmt.Sprintf("package%d 2", i)
		f, _, err := NewDpkg().Detect(dpkgStatus, contentOf(strings.NewReader(dpkgDB(packages...))))
		if err != nil {
			b.Fatal(err)
		}
		layers = append(layers, &Layer{Digest: fmt.Sprint(i), Files: []File{f}})
	}
	b.ReportAllocs()
	for b.Loop() {
		Coalesce(layers)
	}
}
