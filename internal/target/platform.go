package target

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
)

// AllPlatforms is the platform that stands for each one that an index has.
const AllPlatforms = "all"

// Platform is what an image is made for (image-spec, image-index.md, "platform").
type Platform struct {
	OS, Architecture, Variant string
}

// Host is the platform of containers on this machine.
func Host() Platform {
	return Platform{OS: "linux", Architecture: runtime.GOARCH}
}

// ParsePlatform reads "os/arch" or "os/arch/variant".
func ParsePlatform(text string) (Platform, error) {
	parts := strings.Split(text, "/")
	if len(parts) < 2 || len(parts) > 3 || slices.Contains(parts, "") {
		return Platform{}, fmt.Errorf("platform %q: want os/arch or os/arch/variant, such as linux/arm64", text)
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	return p, nil
}

// String is "os/arch/variant", "" where nothing is known.
func (p Platform) String() string {
	parts := []string{p.OS, p.Architecture, p.Variant}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "/")
}

// known reports a platform, and not the "unknown/unknown" that BuildKit gives to
// attestations.
func (p Platform) known() bool {
	return p.OS != "" && p.OS != "unknown" && p.Architecture != "" && p.Architecture != "unknown"
}

// normal spells the platform as Go does, the only or usual variant left out.
func (p Platform) normal() Platform {
	p = Platform{strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)}
	switch p.Architecture {
	case "x86_64", "x86-64":
		p.Architecture = "amd64"
	case "aarch64":
		p.Architecture = "arm64"
	case "i386", "i686":
		p.Architecture = "386"
	case "armhf":
		p.Architecture, p.Variant = "arm", cmp.Or(p.Variant, "v7")
	case "armel":
		p.Architecture, p.Variant = "arm", cmp.Or(p.Variant, "v6")
	}
	switch p.Architecture + "/" + p.Variant {
	case "arm/":
		p.Variant = "v7"
	case "amd64/v1", "arm64/v8", "arm64/8":
		p.Variant = ""
	}
	if p.Architecture == "arm" && len(p.Variant) == 1 {
		p.Variant = "v" + p.Variant
	}
	return p
}

// fit says how well an image of platform other serves where p is wanted, the
// lowest best; ok is false where it does not.
func (p Platform) fit(other Platform) (rank int, ok bool) {
	want, got := p.normal(), other.normal()
	switch {
	case want.OS != got.OS || want.Architecture != got.Architecture:
		return 0, false
	case want.Variant == got.Variant:
		return 0, true
	case want.Architecture == "arm" && p.Variant == "":
		// Of ARM's variants the newest that the usual machine runs.
		return int('9') - int(got.Variant[len(got.Variant)-1]), got.Variant < want.Variant
	case p.Variant == "":
		return 1, true
	}
	return 0, false
}
