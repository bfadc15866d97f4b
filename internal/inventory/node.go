package inventory

import (
	"encoding/json"
	"errors"
	"path"
	"strings"
)

type node struct{ opts DetectorOptions }

// NewNode returns the detector of installed Node packages: the package.json at
// the root of each folder of a node_modules folder, as npm, yarn and pnpm lay
// them out (https://nodejs.org/api/modules.html#loading-from-node_modules-folders).
// What lies deeper are examples and tests of packages. Packages that yarn keeps
// zipped, to be loaded from there (Plug'n'Play), are read in the archive.
func NewNode(opts DetectorOptions) Detector { return node{opts.withDefaults()} }

func (node) Name() string          { return "node" }
func (node) Version() int          { return 2 }
func (node) Directories() []string { return nil }

func (node) Wants(p string) bool { return isManifest(p) || isYarnCache(p) }

// isYarnCache reports archives that yarn loads packages from: in the project's
// folder, or in the user's, which the project's cache may be instead.
func isYarnCache(p string) bool {
	if !strings.HasSuffix(p, ".zip") {
		return false
	}
	dir := "/" + path.Dir(p)
	return strings.HasSuffix(dir, "/.yarn/cache") || strings.HasSuffix(dir, "/yarn/berry/cache") || strings.HasSuffix(dir, "/.yarn/berry/cache")
}

func isManifest(p string) bool {
	folder, ok := strings.CutSuffix(p, "/package.json")
	if !ok {
		return false
	}
	name := folder
	if i := strings.LastIndex(folder, "/node_modules/"); i >= 0 {
		name = folder[i+len("/node_modules/"):]
	} else if name, ok = strings.CutPrefix(folder, "node_modules/"); !ok {
		return false
	}
	if strings.HasPrefix(name, "@") {
		return strings.Count(name, "/") == 1
	}
	return !strings.Contains(name, "/") && !strings.HasPrefix(name, ".")
}

func (d node) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "node")
	if isYarnCache(p) {
		return found.result(found.yarnCache(c, d.opts))
	}
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	if p, ok := found.manifest(text, "the file"); ok {
		found.add(p, 1)
	}
	return found.result(nil)
}

// manifest reads a package.json; ok is false where it is of no package.
func (f *findings) manifest(text []byte, label string) (p Package, ok bool) {
	var manifest struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) {
			f.warn(Malformed, "%s is no JSON: %s", label, clip(err.Error()))
			return Package{}, false
		}
	}
	switch {
	case manifest.Version == "":
		// Folders within a package have such files, to say how they are loaded;
		// npm installs nothing without a version.
	case !isToken(manifest.Name) || !isToken(manifest.Version):
		f.warn(Malformed, "name %q and version %q cannot be those of a Node package", clip(manifest.Name), clip(manifest.Version))
	default:
		return Package{Type: "npm", Name: manifest.Name, Version: manifest.Version}, true
	}
	return Package{}, false
}

// yarnCache reads a package that is zipped, with those that are bundled in it.
func (f *findings) yarnCache(c *Content, opts DetectorOptions) error {
	content, size, err := c.ReaderAt()
	if err != nil || size == 0 {
		return err
	}
	a := newArchives(f, opts, c)
	archive, err := a.directory(content, size)
	if err != nil {
		a.failed("the archive", err)
		return nil
	}
	for _, entry := range archive.File {
		if !isManifest(entry.Name) {
			continue
		}
		text, err := a.open(entry, "archive description", archiveSmall)
		if err != nil {
			a.failed(entry.Name, err)
			continue
		}
		if p, ok := f.manifest(text, clip(entry.Name)); ok && !f.addProved(p, entry.Name) {
			break
		}
	}
	return nil
}
