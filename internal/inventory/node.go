package inventory

import (
	"encoding/json"
	"errors"
	"strings"
)

type node struct{ opts DetectorOptions }

// NewNode returns the detector of installed Node packages: the package.json at
// the root of each folder of a node_modules folder, as npm, yarn and pnpm lay
// them out (https://nodejs.org/api/modules.html#loading-from-node_modules-folders).
// What lies deeper are examples and tests of packages.
func NewNode(opts DetectorOptions) Detector { return node{opts.withDefaults()} }

func (node) Name() string          { return "node" }
func (node) Version() int          { return 1 }
func (node) Directories() []string { return nil }

func (node) Wants(p string) bool {
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
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	var manifest struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		var wrong *json.UnmarshalTypeError
		if !errors.As(err, &wrong) {
			found.warn(Malformed, "the file is no JSON: %s", clip(err.Error()))
			return found.result(nil)
		}
	}
	switch {
	case manifest.Version == "":
		// Folders within a package have such files, to say how they are loaded;
		// npm installs nothing without a version.
	case !isToken(manifest.Name) || !isToken(manifest.Version):
		found.warn(Malformed, "name %q and version %q cannot be those of a Node package", clip(manifest.Name), clip(manifest.Version))
	default:
		found.add(Package{Type: "npm", Name: manifest.Name, Version: manifest.Version}, 1)
	}
	return found.result(nil)
}
