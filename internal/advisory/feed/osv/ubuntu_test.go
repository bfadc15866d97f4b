package osv_test

import (
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/version"
)

// TestUbuntuVerdicts holds what the statements of Ubuntu's test record come to,
// for who has Ubuntu Pro and who has not.
func TestUbuntuVerdicts(t *testing.T) {
	groups, _, err := parse(of(t, "ubuntu"), archive(t, records(t, "ubuntu")...))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, release, pkg, version string
		affected                    bool
	}{
		{"archive", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.20", true},
		{"ESM, before the fix", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.20+esm5", true},
		{"ESM, the fix", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.20+esm6", false},
		{"ESM, after the fix", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.20+esm10", false},
		{"FIPS, before the fix", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.fips.4.20.3", true},
		{"FIPS, the fix", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.fips.4.20.6", false},
		{"FIPS as certified, never fixed", "ubuntu:16.04", "openssl", "1.0.2g-1ubuntu4.fips.4.6.3", true},
		{"FIPS kernel", "ubuntu:16.04", "linux-fips", "4.4.0-1099.106", true},
		{"FIPS kernel, the fix", "ubuntu:16.04", "linux-fips", "4.4.0-1100.107", false},
		{"archive, before the fix", "ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.7", true},
		{"archive, the fix", "ubuntu:22.04", "openssl", "3.0.2-0ubuntu1.8", false},
		{"archive without a fix", "ubuntu:22.04", "edk2", "2022.02-3ubuntu0.22.04.4", true},
		{"ESM, where the archive has none", "ubuntu:22.04", "edk2", "2022.02-3ubuntu0.22.04.4+esm1", false},
		{"ESM without a fix", "ubuntu:24.04", "node", "99", true},
		{"both fixed, the archive's", "ubuntu:24.04", "both", "1.0-1ubuntu0.2", false},
		{"both fixed, before both", "ubuntu:24.04", "both", "1.0-1", true},
		{"both fixed, before ESM's", "ubuntu:24.04", "both", "1.0-1ubuntu0.2+esm1", true},
		{"both fixed, ESM's", "ubuntu:24.04", "both", "1.0-1ubuntu0.2+esm2", false},
		{"a real-time pocket's, of which nothing is known", "ubuntu:24.04", "shared", "8", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			key := advisory.Key{Ecosystem: test.release, Package: test.pkg, Source: true}
			affected, spoken := false, false
			for _, a := range groups[0].Advisories {
				if a.Key() == key {
					spoken = true
					affected = affected || a.Status == advisory.Affected && within(t, test.version, a)
				}
			}
			if !spoken || affected != test.affected {
				t.Errorf("affected %t, want %t (there is a statement: %t)", affected, test.affected, spoken)
			}
		})
	}
	for _, a := range groups[0].Advisories {
		if a.Package == "openssl" && a.Ecosystem == "ubuntu:16.04" && a.Fixed != "" {
			t.Errorf("a fix is stated for everybody: %+v", a)
		}
	}
}

// within is the rule of advisory.Advisory, by the order of Debian's versions.
func within(t *testing.T, v string, a advisory.Advisory) bool {
	t.Helper()
	compare := func(other string) int {
		c, err := version.Compare(version.Deb, v, other)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	return (a.Introduced == "" || compare(a.Introduced) >= 0) && (a.Fixed == "" || compare(a.Fixed) < 0) &&
		(a.LastAffected == "" || compare(a.LastAffected) <= 0)
}
