package sbom

import (
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
)

const (
	maxLayers    = 1000
	maxDescribed = 1000
	maxURLs      = 100
)

// metadata reads CycloneDX's, which has the component that the bill is of.
func (r *reader) metadata(d *decoder) error {
	return d.object(func(name string) error {
		if name == "component" {
			return r.cycloneDXComponent(d, true)
		}
		return d.skip()
	})
}

func (r *reader) cycloneDXComponents(d *decoder) error {
	return d.list(func() error { return r.cycloneDXComponent(d, false) })
}

// cycloneDXComponent reads a component and those within it. The root is what the
// bill is of, and need be no package.
func (r *reader) cycloneDXComponent(d *decoder, root bool) error {
	if !r.count() {
		return d.skip()
	}
	var (
		c                 component
		kind, group, purl string
	)
	err := d.object(func(name string) error {
		switch name {
		case "type":
			return d.text(&kind)
		case "bom-ref":
			return d.text(&c.ref)
		case "group":
			return d.text(&group)
		case "name":
			return d.text(&c.name)
		case "version":
			return d.text(&c.version)
		case "purl":
			return d.text(&purl)
		case "properties":
			return r.cycloneDXProperties(d, &c, root)
		case "evidence":
			return r.cycloneDXEvidence(d, &c)
		case "components":
			return r.cycloneDXComponents(d)
		}
		return d.skip()
	})
	if err != nil {
		return err
	}
	if purl != "" {
		c.purls = []string{purl}
	}
	switch kind {
	case "operating-system":
		c.notPackage = true
		r.isSystem(c.name, c.version, "", "")
	case "file", "container", "device", "data", "cryptographic-asset":
		c.notPackage = true
	}
	c.notPackage = c.notPackage || root
	if group != "" {
		c.name = group + "/" + c.name
	}
	r.add(c)
	return nil
}

func (r *reader) cycloneDXProperties(d *decoder, c *component, root bool) error {
	return d.list(func() error {
		var name, value string
		if err := member(d, map[string]*string{"name": &name, "value": &value}); err != nil {
			return err
		}
		switch {
		case root && name == layerProperty:
			r.layer(value)
		case root && name == distributionProperty:
			r.isOwnSystem(value)
		case name == "syft:location:0:path", name == "aquasecurity:trivy:FilePath":
			if c.path == "" {
				c.path = value
			}
		case strings.HasPrefix(name, trivySource):
			c.source.set(name, value)
		case !root:
			c.own.set(name, value)
		}
		return nil
	})
}

// trivySource begins the names of Trivy's properties on the source package.
const trivySource = "aquasecurity:trivy:Src"

func (s *source) set(name, value string) {
	switch strings.TrimPrefix(name, trivySource) {
	case "Name":
		s.name = value
	case "Epoch":
		s.epoch = value
	case "Version":
		s.version = value
	case "Release":
		s.release = value
	}
}

func (r *reader) cycloneDXEvidence(d *decoder, c *component) error {
	return d.object(func(name string) error {
		if name != "occurrences" {
			return d.skip()
		}
		first := true
		return d.list(func() error {
			var location, line string
			if err := member(d, map[string]*string{"location": &location, "line": &line}); err != nil || !first {
				return err
			}
			first, c.path = false, location
			if n, err := strconv.Atoi(line); err == nil && n > 0 {
				c.line = n
			}
			return nil
		})
	})
}

// layer takes note of the next layer of the image.
func (r *reader) layer(digest string) {
	if r.layers == nil {
		r.layers = make(map[string]int)
	}
	if _, known := r.layers[digest]; !known && len(r.layers) < maxLayers {
		r.layers[digest] = len(r.layers)
	}
}

// isSystem takes note of the operating system, as the bill calls it; the first
// one counts.
func (r *reader) isSystem(id, version, codename, pretty string) {
	if r.system.ID != "" {
		return
	}
	id = strings.ReplaceAll(strings.ToLower(id), " ", ".")
	if d, ok := inventory.NewDistribution(idOf(id), version, codename, pretty); ok {
		r.system = d
	}
}

// isOwnSystem is isSystem for what this program wrote, which counts in any case.
func (r *reader) isOwnSystem(text string) {
	if text = plain(text); len(text) <= maxField {
		r.system = inventory.Distribution{}
		r.system.ID, r.system.Version, _ = strings.Cut(text, ":")
	}
}

func (r *reader) spdxPackages(d *decoder) error {
	return d.list(func() error {
		if !r.count() {
			return d.skip()
		}
		var (
			c       component
			purpose string
		)
		err := d.object(func(name string) error {
			switch name {
			case "SPDXID":
				return d.text(&c.ref)
			case "name":
				return d.text(&c.name)
			case "versionInfo":
				return d.text(&c.version)
			case "primaryPackagePurpose":
				return d.text(&purpose)
			case "externalRefs":
				return r.spdxReferences(d, &c)
			case "annotations":
				return r.spdxAnnotations(d, &c)
			}
			return d.skip()
		})
		if err != nil {
			return err
		}
		switch strings.ReplaceAll(purpose, "_", "-") {
		case "OPERATING-SYSTEM":
			c.notPackage = true
			r.isSystem(c.name, c.version, "", "")
		case "FILE", "CONTAINER", "DEVICE":
			c.notPackage = true
		}
		r.add(c)
		return nil
	})
}

func (r *reader) spdxReferences(d *decoder, c *component) error {
	return d.list(func() error {
		var kind, locator string
		err := member(d, map[string]*string{"referenceType": &kind, "referenceLocator": &locator})
		if err != nil || kind != "purl" {
			return err
		}
		if len(c.purls) == maxURLs {
			r.warn(inventory.Limit, "only the first %d package URLs of component %s are read", maxURLs, c)
			return nil
		}
		if len(c.purls) > 0 && !r.count() {
			return nil
		}
		c.purls = append(c.purls, locator)
		return nil
	})
}

// spdxAnnotations reads our own, whose comment is JSON.
func (r *reader) spdxAnnotations(d *decoder, c *component) error {
	return d.list(func() error {
		var annotator, comment string
		err := member(d, map[string]*string{"annotator": &annotator, "comment": &comment})
		if err != nil || !strings.HasPrefix(annotator, "Tool: "+tool+"-") {
			return err
		}
		said := newDecoder(strings.NewReader(comment), r.limits)
		err = said.object(func(name string) error {
			var value string
			switch name {
			case spdxLayers:
				return said.list(func() error {
					err := said.text(&value)
					r.layer(value)
					return err
				})
			case spdxDistribution:
				err := said.text(&value)
				r.isOwnSystem(value)
				return err
			}
			err := said.text(&value)
			c.own.set(name, value)
			return err
		})
		if err != nil {
			r.warn(inventory.Malformed, "annotation of component %s: %s", c, err)
		}
		return nil
	})
}

func (r *reader) spdxRelationships(d *decoder) error {
	return d.list(func() error {
		var from, kind, to string
		if err := member(d, map[string]*string{"spdxElementId": &from, "relationshipType": &kind, "relatedSpdxElement": &to}); err != nil {
			return err
		}
		switch kind {
		case "DESCRIBES":
			r.isDescribed(to)
		case "DESCRIBED_BY":
			r.isDescribed(from)
		}
		return nil
	})
}

func (r *reader) describes(d *decoder) error {
	var id string
	err := d.text(&id)
	r.isDescribed(id)
	return err
}

func (r *reader) isDescribed(id string) {
	if r.described == nil {
		r.described = make(map[string]bool)
	}
	if len(r.described) < maxDescribed {
		r.described[id] = true
	}
}

func (r *reader) syftDistribution(d *decoder) error {
	var id, version, codename, pretty string
	err := member(d, map[string]*string{"id": &id, "versionID": &version, "versionCodename": &codename, "prettyName": &pretty})
	if id != "" {
		r.isSystem(id, version, codename, pretty)
	}
	return err
}

func (r *reader) syftArtifacts(d *decoder) error {
	return d.list(func() error {
		if !r.count() {
			return d.skip()
		}
		var (
			c    component
			purl string
		)
		err := d.object(func(name string) error {
			switch name {
			case "id":
				return d.text(&c.ref)
			case "name":
				return d.text(&c.name)
			case "version":
				return d.text(&c.version)
			case "purl":
				return d.text(&purl)
			case "locations":
				return d.list(func() error {
					var path string
					err := member(d, map[string]*string{"path": &path})
					if c.path == "" {
						c.path = path
					}
					return err
				})
			}
			return d.skip()
		})
		if err != nil {
			return err
		}
		if purl != "" {
			c.purls = []string{purl}
		}
		r.add(c)
		return nil
	})
}
