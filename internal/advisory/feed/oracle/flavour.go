package oracle

import (
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// flavour is the kind of build that a version is of. Oracle builds some
// packages (openssl, glibc, gnutls, libgcrypt) again for Ksplice, and for FIPS
// 140 validation. Each flavour has errata of its own for the same
// vulnerabilities; to compare an ordinary package with the fix of another flavour
// is Oracle's best known false positive (aquasecurity/trivy#1967,
// quay/claircore#547).
func flavour(version string) string {
	switch {
	case strings.Contains(version, "ksplice"):
		return "ksplice"
	case strings.Contains(version, "fips"):
		return "fips"
	}
	return ""
}

// limit keeps a statement to the builds that it is of.
//
// Oracle gives the other flavours a higher epoch, so that none replaces another:
// openssl is 1:…, 2:… for Ksplice and 10:… for FIPS. So from the fix's epoch on
// there are only builds of its flavour, and below it only others. Where the epoch
// does not tell them apart, the statement is not used.
//
// Kernels of UEK, and what is built with them (bpftool), come in several series
// under one name in one release: 5.4.17 and 5.15.0 on Oracle Linux 8. A fix is of
// its series.
func (p *parser) limit(a *advisory.Advisory) {
	fixed := a.Fixed
	if fixed == "" || a.Introduced != "" {
		return
	}
	if f := flavour(fixed); f != "" {
		n := epoch(fixed)
		if n <= p.epochs[a.Package] {
			a.Status, a.Fixed = advisory.Undetermined, ""
			a.Note = "fixed in " + fixed + " for " + f + " builds, which ordinary ones cannot be told from"
			return
		}
		a.Introduced = strconv.Itoa(n) + ":0"
		return
	}
	series, release, found := strings.Cut(fixed, "-")
	if found && strings.Contains(release, "uek") {
		a.Introduced = series + "-0"
	}
}

// epoch is that of a version, 0 where it has none.
func epoch(version string) int {
	before, _, found := strings.Cut(version, ":")
	if !found {
		return 0
	}
	n, err := strconv.Atoi(before)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
