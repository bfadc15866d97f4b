package sbom

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
)

// prefix is that of the names of our own properties: what the formats have no
// place for, and what a package URL cannot say exactly.
const prefix = "pratique:"

// The properties of an image.
const (
	layerProperty        = prefix + "layer" // repeated, base first; a package's is that of its layer
	distributionProperty = prefix + "image-distribution"
	warningProperty      = prefix + "warning"
)

type property struct{ name, value string }

// properties are our own on a package: its proof, and those members that its
// package URL does not give back.
func properties(p inventory.Installed) []property {
	list := []property{{prefix + "path", p.Path}, {layerProperty, p.LayerDigest}, {prefix + "detector", p.Detector}}
	for _, more := range []property{{prefix + "evidence", p.Evidence}, {prefix + "owner", p.Owner}, {prefix + "line", lineOf(p)}} {
		if more.value != "" {
			list = append(list, more)
		}
	}
	said, err := parsePURL(PURL(p.Package))
	if err != nil {
		said = inventory.Package{Type: p.Type}
	}
	meant := p.Package
	is := fields(&said)
	for i, want := range fields(&meant) {
		if *want.value != *is[i].value {
			list = append(list, property{prefix + want.name, *want.value})
		}
	}
	return list
}

func lineOf(p inventory.Installed) string {
	if p.Line == 0 {
		return ""
	}
	return strconv.Itoa(p.Line)
}

// own are our properties of one component, by name without the prefix.
type own map[string]string

// names are those that are read.
var names = []string{"path", "layer", "detector", "evidence", "owner", "line",
	"name", "version", "distribution", "architecture", "source-name", "source-version", "module", "repositories"}

func (o *own) set(name, value string) {
	name, ours := strings.CutPrefix(name, prefix)
	if !ours || !slices.Contains(names, name) {
		return
	}
	if *o == nil {
		*o = make(own)
	}
	(*o)[name] = value
}

// amend makes a package what its properties say. The type is the URL's alone.
func (o own) amend(p *inventory.Package) {
	for _, f := range fields(p)[1:] {
		if value, said := o[f.name]; said {
			*f.value = value
		}
	}
}
