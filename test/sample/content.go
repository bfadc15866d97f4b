package sample

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// AlpinePackage is an installed package of an Alpine image.
type AlpinePackage struct {
	Name, Version, Origin string
}

// AlpineBase makes a base layer of an Alpine release ("3.20.0") with packages.
func AlpineBase(release string, packages ...AlpinePackage) (Layer, error) {
	return NewLayer("ADD alpine-minirootfs.tar.gz / # buildkit",
		File{"etc/", ""},
		File{"etc/os-release", fmt.Sprintf("NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=%s\nPRETTY_NAME=\"Alpine Linux v%s\"\n", release, branch(release))},
		File{"etc/alpine-release", release + "\n"},
		File{"lib/apk/db/", ""},
		File{"lib/apk/db/installed", Installed(packages...)},
	)
}

// Installed writes an apk database of the packages.
func Installed(packages ...AlpinePackage) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:%s\nV:%s\nA:x86_64\nS:1\nI:1\nT:sample\nU:https://example.org\nL:MIT\no:%s\n\n", p.Name, p.Version, p.Origin)
	}
	return b.String()
}

// DebianPackage is an installed package of a Debian image. Source is "" where
// it is the package's own name.
type DebianPackage struct {
	Name, Version, Source string
}

// DebianBase makes a base layer of a Debian release ("12", "bookworm") with packages.
func DebianBase(release, codename string, packages ...DebianPackage) (Layer, error) {
	return NewLayer("ADD rootfs.tar.xz / # buildkit",
		File{"etc/", ""},
		File{"etc/os-release", fmt.Sprintf("PRETTY_NAME=\"Debian GNU/Linux %s (%s)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"%s\"\nVERSION_CODENAME=%s\nID=debian\n", release, codename, release, codename)},
		File{"var/lib/dpkg/", ""},
		File{"var/lib/dpkg/status", Status(packages...)},
	)
}

// Status writes a dpkg database of the packages.
func Status(packages ...DebianPackage) string {
	var b strings.Builder
	for _, p := range packages {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nPriority: optional\nSection: libs\nArchitecture: amd64\n", p.Name)
		if p.Source != "" {
			fmt.Fprintf(&b, "Source: %s\n", p.Source)
		}
		fmt.Fprintf(&b, "Version: %s\nDescription: sample\n a sample package\n\n", p.Version)
	}
	return b.String()
}

func branch(release string) string {
	parts := strings.SplitN(release, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// Fixes maps package -> fixed version -> vulnerabilities.
type Fixes map[string]map[string][]string

// WriteAlpineFeed writes a document in the form of Alpine's secdb below dir,
// where --feeds-mirror finds it. release is "v3.20", repository "main".
func WriteAlpineFeed(dir, release, repository string, fixes Fixes) error {
	type pkg struct {
		Name     string              `json:"name"`
		Secfixes map[string][]string `json:"secfixes"`
	}
	type entry struct {
		Pkg pkg `json:"pkg"`
	}
	document := struct {
		DistroVersion string   `json:"distroversion"`
		RepoName      string   `json:"reponame"`
		URLPrefix     string   `json:"urlprefix"`
		Archs         []string `json:"archs"`
		Packages      []entry  `json:"packages"`
	}{release, repository, "https://dl-cdn.alpinelinux.org/alpine", []string{"x86_64"}, []entry{}}
	for name, secfixes := range fixes {
		document.Packages = append(document.Packages, entry{pkg{name, secfixes}})
	}
	return write(filepath.Join(dir, "secdb.alpinelinux.org", release, repository+".json"), document)
}

// DebianFix is what the tracker says of one vulnerability in one release.
type DebianFix struct {
	// Fixed is the version that mends it; "" where there is none.
	Fixed   string
	Urgency string
}

// WriteDebianFeed writes a document in the form of Debian's security tracker:
// source package -> vulnerability -> release ("bookworm") -> fix.
func WriteDebianFeed(dir string, statements map[string]map[string]map[string]DebianFix) error {
	type release struct {
		Status       string `json:"status"`
		FixedVersion string `json:"fixed_version,omitempty"`
		Urgency      string `json:"urgency"`
	}
	type vulnerability struct {
		Description string             `json:"description"`
		Releases    map[string]release `json:"releases"`
	}
	document := make(map[string]map[string]vulnerability)
	for source, vulnerabilities := range statements {
		document[source] = make(map[string]vulnerability)
		for id, releases := range vulnerabilities {
			v := vulnerability{Description: "a sample flaw in " + source, Releases: make(map[string]release)}
			for name, fix := range releases {
				r := release{Status: "open", Urgency: fix.Urgency}
				if fix.Fixed != "" {
					r.Status, r.FixedVersion = "resolved", fix.Fixed
				}
				v.Releases[name] = r
			}
			document[source][id] = v
		}
	}
	return write(filepath.Join(dir, "security-tracker.debian.org", "tracker", "data", "json"), document)
}

func write(path string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("feed %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("feed: %w", err)
	}
	return nil
}
