package builtin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/source/builtin"
)

func TestUndetermined(t *testing.T) {
	of := func(kind, name, version, owner, evidence string) inventory.Installed {
		return inventory.Installed{Package: inventory.Package{Type: kind, Name: name, Version: version}, Path: "p", Owner: owner, Evidence: evidence}
	}
	const noGroup = " cannot be judged: its group is not known, and advisories are on GROUP:ARTIFACT"
	for _, test := range []struct {
		name string
		p    inventory.Installed
		want string
	}{
		{"a jar", of("maven", "org.apache.logging.log4j:log4j-core", "2.14.1", "", ""), ""},
		{"a jar of an unknown group", of("maven", "log4j-core", "2.14.1", "", ""), "log4j-core 2.14.1" + noGroup},
		{"of an empty one", of("maven", ":log4j-core", "2.14.1", "", ""), ":log4j-core 2.14.1" + noGroup},
		{"of no artifact", of("maven", "org.apache:", "1", "", ""), "org.apache: 1" + noGroup},
		{"the distribution's jar", of("maven", "log4j-core", "2.14.1", "deb:liblog4j2-java", ""), ""},
		{"another's name has no group", of("npm", "left-pad", "1.0.0", "", ""), ""},
		{"no version", of("npm", "left-pad", "", "", ""), `left-pad  cannot be judged: invalid version`},
		{"nobody judges it", of("generic", "busybox", "1", "", ""), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got string
			for _, w := range builtin.Undetermined([]inventory.Installed{test.p}) {
				got += w.Code + " " + w.Path + ": " + w.Message
			}
			want := test.want
			if want != "" {
				want = "undetermined p: " + want
			}
			if want == "" && got != "" || !strings.HasPrefix(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	var many []inventory.Installed
	for n := range 130 {
		many = append(many, of("maven", fmt.Sprint("a", n), "1", "", ""))
	}
	warnings := builtin.Undetermined(many)
	if diff := cmp.Diff(inventory.Warning{Code: "undetermined", Message: "30 more packages cannot be judged"}, warnings[len(warnings)-1]); len(warnings) != 101 || diff != "" {
		t.Errorf("%d warnings; the last (-want +got):\n%s", len(warnings), diff)
	}
}
