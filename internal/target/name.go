package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// Kind is where an image is kept.
type Kind string

// The kinds. In a TARGET each but Registry stands before the first colon.
const (
	// OCIDir is a folder in the form of the OCI image layout (image-spec,
	// image-layout.md), OCIArchive a tar archive of one.
	OCIDir     Kind = "oci-dir"
	OCIArchive Kind = "oci-archive"
	// DockerArchive is what docker save and podman save write.
	DockerArchive Kind = "docker-archive"
	// Rootfs is a folder that is the root of a file system.
	Rootfs Kind = "rootfs"
	// SBOM is a software bill of materials. Open does not know it.
	SBOM Kind = "sbom"
	// Registry is a reference such as docker or podman take.
	Registry Kind = "registry"
)

// ErrName is returned for a TARGET that cannot be one.
var ErrName = errors.New("not a target")

// Name is a TARGET as a person writes it.
type Name struct {
	Kind Kind
	// Rest is what follows the kind: a path, for layouts and archives with
	// ":IMAGE" where it holds several.
	Rest string
	// Reference is that of an image in a registry, with tag or digest.
	Reference reference.Named
}

// Parse reads a TARGET. What begins with no kind is a reference; docker:// may
// stand before one. The error wraps ErrName.
func Parse(text string) (Name, error) {
	for _, kind := range []Kind{OCIDir, OCIArchive, DockerArchive, Rootfs, SBOM} {
		rest, ok := strings.CutPrefix(text, string(kind)+":")
		if !ok {
			continue
		}
		if rest == "" {
			return Name{}, fmt.Errorf("%w: %q: want a path after the colon", ErrName, text)
		}
		return Name{Kind: kind, Rest: rest}, nil
	}
	named, err := reference.ParseDockerRef(strings.TrimPrefix(text, "docker://"))
	if err != nil {
		return Name{}, fmt.Errorf("%w: %q: %w%s", ErrName, text, err, hint(text))
	}
	return Name{Kind: Registry, Rest: text, Reference: named}, nil
}

// hint says what may have been meant with the path of something that is there.
func hint(text string) string {
	info, err := os.Stat(text)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return fmt.Sprintf("; did you mean oci-dir:%s or rootfs:%s?", text, text)
	}
	return fmt.Sprintf("; did you mean docker-archive:%s or oci-archive:%s?", text, text)
}

// split parts "PATH:IMAGE". A path may have colons itself, so that the first
// part that is there is taken for it.
func split(rest string) (path, selection string, err error) {
	_, whole := os.Stat(rest)
	if whole == nil {
		return rest, "", nil
	}
	for i, c := range rest {
		if c != ':' {
			continue
		}
		if _, err := os.Stat(rest[:i]); err == nil {
			return rest[:i], rest[i+1:], nil
		}
	}
	if first, _, found := strings.Cut(rest, ":"); found && errors.Is(whole, fs.ErrNotExist) {
		_, whole = os.Stat(first)
	}
	return "", "", whole
}

// position reads "@N", skopeo's way to name the Nth image of an archive, from 0.
func position(selection string) (n int, ok bool, err error) {
	text, ok := strings.CutPrefix(selection, "@")
	if !ok {
		return 0, false, nil
	}
	if n, err = strconv.Atoi(text); err != nil || n < 0 {
		return 0, false, fmt.Errorf("%w: %q: want a number from 0 after @", ErrName, selection)
	}
	return n, true, nil
}

// sameName reports whether two names of images are the same: as they stand, or
// with what docker leaves out ("docker.io/library/", ":latest").
func sameName(a, b string) bool {
	if a == b {
		return true
	}
	x, err := reference.ParseDockerRef(a)
	if err != nil {
		return false
	}
	y, err := reference.ParseDockerRef(b)
	return err == nil && x.String() == y.String()
}

// printable keeps foreign text from being more than text in a message.
func printable(s string) string {
	quoted := strconv.Quote(s)
	if quoted == `"`+s+`"` && len(s) <= 200 {
		return s
	}
	if len(s) > 200 {
		quoted = strconv.Quote(s[:200]) + "…"
	}
	return quoted
}
