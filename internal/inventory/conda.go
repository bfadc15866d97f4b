package inventory

import (
	"encoding/json"
	"path"
	"strings"
)

type conda struct{ opts DetectorOptions }

// NewConda returns the detector of packages that conda and its relatives
// installed: a file of JSON for each, in conda-meta of an environment
// (https://docs.conda.io/projects/conda/en/stable/dev-guide/api/conda/core/prefix_data/index.html).
// It lists the files, by which other detectors' finds have an owner.
func NewConda(opts DetectorOptions) Detector { return conda{opts.withDefaults()} }

func (conda) Name() string          { return "conda" }
func (conda) Version() int          { return 1 }
func (conda) Directories() []string { return nil }

func (conda) Wants(p string) bool {
	dir, name := path.Split(p)
	return strings.HasSuffix(name, ".json") && (dir == "conda-meta/" || strings.HasSuffix(dir, "/conda-meta/"))
}

func (d conda) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "conda")
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	var record struct {
		Name    string   `json:"name"`
		Version string   `json:"version"`
		Build   string   `json:"build"`
		Channel string   `json:"channel"`
		Subdir  string   `json:"subdir"`
		Files   []string `json:"files"`
	}
	if err := json.Unmarshal(text, &record); err != nil {
		found.warn(Malformed, "the file is no record of a package: %s", clip(err.Error()))
		return found.result(nil)
	}
	if !isToken(record.Name) || !isToken(record.Version) || record.Subdir != "" && !isToken(record.Subdir) {
		found.warn(Malformed, "name %q, version %q and platform %q cannot be those of a package", clip(record.Name), clip(record.Version), clip(record.Subdir))
		return found.result(nil)
	}
	evidence := "build " + printable(record.Build)
	if record.Channel != "" {
		evidence += " of " + printable(record.Channel)
	}
	found.addProved(Package{Type: "conda", Name: record.Name, Version: record.Version, Architecture: record.Subdir}, evidence)
	environment := path.Dir(path.Dir(p))
	for _, name := range record.Files {
		if name = path.Clean(name); !path.IsAbs(name) && !strings.HasPrefix(name, "../") {
			found.claim(record.Name, path.Join(environment, name))
		}
	}
	return found.result(nil)
}
