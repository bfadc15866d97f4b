package inventory

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

type dotnet struct{ opts DetectorOptions }

// NewDotnet returns the detector of the packages of .NET programs: the libraries
// in their .deps.json that came from NuGet
// (https://github.com/dotnet/sdk/blob/main/documentation/specs/runtime-configuration-file.md).
func NewDotnet(opts DetectorOptions) Detector { return dotnet{opts.withDefaults()} }

func (dotnet) Name() string          { return "dotnet" }
func (dotnet) Version() int          { return 1 }
func (dotnet) Directories() []string { return nil }
func (dotnet) Wants(p string) bool   { return strings.HasSuffix(p, ".deps.json") }

func (d dotnet) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "dotnet")
	var deps struct {
		Libraries map[string]struct {
			Type string `json:"type"`
		} `json:"libraries"`
	}
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	if err := json.Unmarshal(text, &deps); err != nil {
		found.warn(Malformed, "the file does not list libraries: %s", clip(err.Error()))
		return found.result(nil)
	}
	for _, key := range slices.Sorted(maps.Keys(deps.Libraries)) {
		if kind := deps.Libraries[key].Type; kind != "package" && kind != "runtimepack" {
			continue // the program itself, and its own projects
		}
		name, version, _ := strings.Cut(strings.TrimPrefix(key, "runtimepack."), "/")
		if !isToken(name) || !isToken(version) {
			found.warn(Malformed, "library %q cannot be one", clip(key))
			continue
		}
		if !found.addProved(Package{Type: "nuget", Name: name, Version: version}, "libraries") {
			break
		}
	}
	return found.result(nil)
}
