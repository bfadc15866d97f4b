package inventory

import (
	"encoding/json"
	"strings"
)

type php struct{ opts DetectorOptions }

// NewPHP returns the detector of packages that Composer installed: its
// vendor/composer/installed.json, a list in Composer 1, an object in Composer 2.
func NewPHP(opts DetectorOptions) Detector { return php{opts.withDefaults()} }

func (php) Name() string          { return "php" }
func (php) Version() int          { return 1 }
func (php) Directories() []string { return nil }

func (php) Wants(p string) bool {
	return p == "composer/installed.json" || strings.HasSuffix(p, "/composer/installed.json")
}

func (d php) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "php")
	type entry struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	var list struct {
		Packages []entry `json:"packages"`
	}
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	if err := json.Unmarshal(text, &list.Packages); err != nil {
		if err := json.Unmarshal(text, &list); err != nil {
			found.warn(Malformed, "the file is no list of packages: %s", clip(err.Error()))
			return found.result(nil)
		}
	}
	for _, e := range list.Packages {
		version := strings.TrimPrefix(e.Version, "v")
		if !isToken(e.Name) || !isToken(version) {
			found.warn(Malformed, "name %q and version %q cannot be those of a package", clip(e.Name), clip(e.Version))
			continue
		}
		if !found.addProved(Package{Type: "composer", Name: strings.ToLower(e.Name), Version: version}, "packages") {
			break
		}
	}
	return found.result(nil)
}
