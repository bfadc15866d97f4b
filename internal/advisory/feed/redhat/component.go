package redhat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"
)

// component is an RPM package, or all versions of one.
type component struct {
	name string
	// version is EPOCH:VERSION-RELEASE, "" for every version.
	version, architecture string
	// source is set for a source package.
	source bool
	// module is NAME:STREAM.
	module string
}

// errNotRPM is a component of another kind, such as a container image or a
// library in a language's archive: nothing that is stated here.
var errNotRPM = errors.New("no RPM package")

// parseComponent reads a package URL as Red Hat writes them,
// https://redhatproductsecurity.github.io/security-data-guidelines/purl/.
func parseComponent(text string) (component, error) {
	if !strings.HasPrefix(text, "pkg:rpm/") { // most of the rest are images, and long
		return component{}, errNotRPM
	}
	const longest = 1000
	if len(text) > longest {
		return component{}, fmt.Errorf("a package URL of %d bytes", len(text))
	}
	p, err := packageurl.FromString(text)
	if err != nil {
		return component{}, fmt.Errorf("%q: %w", text, err)
	}
	if p.Namespace != "redhat" {
		return component{}, errNotRPM
	}
	c := component{name: p.Name, version: p.Version}
	for _, q := range p.Qualifiers {
		switch q.Key {
		case "arch":
			c.architecture = q.Value
		case "epoch":
			if strings.Trim(q.Value, "0123456789") != "" {
				return component{}, fmt.Errorf("%q: the epoch is no number", text)
			}
			if strings.Trim(q.Value, "0") != "" && c.version != "" { // none is 0
				c.version = q.Value + ":" + c.version
			}
		case "rpmmod":
			if c.module, err = parseModule(q.Value); err != nil {
				return component{}, fmt.Errorf("%q: %w", text, err)
			}
		}
	}
	switch c.architecture {
	case "src", "nosrc":
		c.source, c.architecture = true, ""
	}
	return c, nil
}

// parseModule reads NAME:STREAM, of which VERSION and CONTEXT may follow.
func parseModule(text string) (string, error) {
	fields := strings.SplitN(text, ":", 3)
	if len(fields) < 2 || fields[0] == "" || fields[1] == "" {
		return "", fmt.Errorf("%q is no module's stream", text)
	}
	return fields[0] + ":" + fields[1], nil
}

// moduleOf reads a product that is a module, of which others are components:
// pkg:rpmmod/redhat/nodejs@18:8080020230718:63b34585, or the stream in the name.
func moduleOf(text string) (string, error) {
	rest, ok := strings.CutPrefix(text, "pkg:rpmmod/")
	if !ok {
		return "", errNotRPM
	}
	p, err := packageurl.FromString("pkg:generic/" + rest)
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	stream := p.Name
	if p.Version != "" {
		stream += ":" + p.Version
	}
	return parseModule(stream)
}

// named reads the id of a component that has no package URL, as those of some
// products that are not fixed have none: "samba", "libxml2.src",
// "nodejs:16/nodejs", "PyYAML.src::python39-devel:3.9". It is a source package.
func named(id string) (component, error) {
	c := component{name: id, source: true}
	var module string
	if name, stream, found := strings.Cut(c.name, "::"); found {
		c.name, module = name, stream
	} else if stream, name, found := strings.Cut(c.name, "/"); found {
		c.name, module = name, stream
		if !strings.Contains(stream, ":") { // an image: "openshift4/ose-console"
			return component{}, errNotRPM
		}
	}
	c.name = strings.TrimSuffix(c.name, ".src")
	if module != "" {
		var err error
		if c.module, err = parseModule(module); err != nil {
			return component{}, err
		}
	}
	if c.name == "" || strings.Trim(c.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._+") != "" {
		return component{}, errNotRPM
	}
	return c, nil
}

// debugging reports packages that hold symbols for debuggers only: nothing in
// them runs, and every update has as many of them as of all others.
func debugging(name string) bool {
	return strings.HasSuffix(name, "-debuginfo") || strings.HasSuffix(name, "-debugsource") || strings.Contains(name, "-debuginfo-common")
}
