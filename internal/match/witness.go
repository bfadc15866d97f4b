package match

import (
	"fmt"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
)

// Witness is what an external vulnerability source says of a finding.
type Witness struct {
	// Source is its name; Vulnerability is what it calls the vulnerability.
	Source, Vulnerability string
	// Severity is Unknown, and Fixed "", where it does not say.
	Severity advisory.Severity
	Fixed    string
	Link     string
}

// Reported words the statement of an external source, which compares by itself.
func Reported(p inventory.Package, w Witness) string {
	if w.Fixed == "" {
		return fmt.Sprintf("%s reports %s, no fix", w.Source, p.Version)
	}
	return fmt.Sprintf("%s reports %s, fixed in %s", w.Source, p.Version, w.Fixed)
}
