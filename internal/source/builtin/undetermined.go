package builtin

import (
	"fmt"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Undetermined warns of packages that ought to be judged and cannot be: those of
// a type that advisories speak of, but for what a package of the operating system
// brought, and for a Go program itself. An image with a warning is not wholly known.
func Undetermined(packages []inventory.Installed) (warnings []inventory.Warning) {
	const most = 100 // packages that are named
	undetermined := 0
	for _, p := range packages {
		if _, judged := match.Scheme(p.Type); !judged || p.Owner != "" || p.Main() {
			continue
		}
		err := match.Comparable(p.Package)
		if err == nil {
			continue
		}
		if undetermined++; undetermined <= most {
			warnings = append(warnings, inventory.Warning{
				Code: "undetermined", Path: p.Path, Layer: p.LayerDigest,
				Message: fmt.Sprintf("%s %s cannot be judged: %s", p.Name, p.Version, err),
			})
		}
	}
	if undetermined > most {
		warnings = append(warnings, inventory.Warning{Code: "undetermined", Message: fmt.Sprintf("%d more packages cannot be judged", undetermined-most)})
	}
	return warnings
}
