package inventory

import (
	"bytes"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// releaseFiles are the files that tell a distribution, those before that are to
// be believed first: os-release(5), then what distributions had before it.
// Derivatives keep their parent's files beside their own: Ubuntu has Debian's
// debian_version, Oracle has Red Hat's redhat-release.
var releaseFiles = []struct {
	path  string
	parse func(f *findings, lines []string) *Distribution
}{
	{"etc/os-release", parseOSRelease},
	{"usr/lib/os-release", parseOSRelease},
	{"etc/lsb-release", parseLSBRelease},
	{"etc/alpine-release", parseAlpineRelease},
	{"etc/oracle-release", parseRedHatRelease},
	{"etc/centos-release", parseRedHatRelease},
	{"etc/redhat-release", parseRedHatRelease},
	{"etc/system-release", parseRedHatRelease},
	{"etc/debian_version", parseDebianVersion},
}

// precedence is the place of a path among releaseFiles, or -1.
func precedence(p string) int {
	for i, f := range releaseFiles {
		if f.path == p {
			return i
		}
	}
	return -1
}

type release struct{}

// NewRelease returns the detector of distributions.
func NewRelease() Detector { return release{} }

func (release) Name() string { return "release" }
func (release) Version() int { return 2 }

func (release) Directories() []string {
	var directories []string
	for _, f := range releaseFiles {
		if d := path.Dir(f.path); !slices.Contains(directories, d) {
			directories = append(directories, d)
		}
	}
	return directories
}

func (release) Wants(p string) bool {
	// Nearly every path of a layer comes by here.
	return (strings.HasPrefix(p, "etc/") || strings.HasPrefix(p, "usr/lib/")) && precedence(p) >= 0
}

func (release) Detect(p string, c *Content) (File, []Warning, error) {
	const most = 1000 // lines; there are about ten
	found := newFindings(p, "release")
	in := newLines(c)
	var content []string
	for {
		err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found.result(err)
		}
		if len(content) == most {
			found.warn(Limit, "only the first %d lines are read", most)
			break
		}
		if len(in.text) <= 1000 {
			content = append(content, string(bytes.TrimSpace(in.text)))
		}
	}
	if i := precedence(p); i >= 0 {
		found.file.Distribution = releaseFiles[i].parse(found, content)
	}
	return found.result(nil)
}

// distribution makes a distribution of foreign words.
func (f *findings) distribution(id, version, pretty string) *Distribution {
	id = strings.ToLower(id)
	if !isKey(id) {
		f.warn(Malformed, "%q is no distribution's id", clip(id))
		return nil
	}
	if version != "" && !isKey(version) {
		f.warn(Malformed, "%q is no distribution's version", clip(version))
		version = ""
	}
	switch {
	case rolling[id]:
		version = ""
	case id == "amzn" && len(version) == len("2018.03") && version < "2018.03":
		version = "2018.03" // Amazon Linux 1 was one rolling release, too
	case version == "" && packageTypes[id] != "":
		f.warn(Malformed, "the release of %s cannot be told", id)
	}
	return &Distribution{ID: id, Version: version, PrettyName: printable(pretty)}
}

// isKey reports what os-release(5) allows ID and VERSION_ID to be, more or less.
func isKey(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-', c == '+', c == '~':
		default:
			return false
		}
	}
	return true
}

// printable makes text fit to be stored and shown.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return clip(s)
}

func parseOSRelease(f *findings, lines []string) *Distribution {
	values := assignments(lines)
	id, version := strings.ToLower(values["ID"]), values["VERSION_ID"]
	if id == "" {
		f.warn(Malformed, "there is no ID")
		return nil
	}
	switch id {
	case "debian":
		version = debianRelease(version, values["VERSION_CODENAME"], values["PRETTY_NAME"])
	case "alpine":
		version = alpineBranch(version, values["PRETTY_NAME"])
	case "rhel", "centos", "rocky", "almalinux", "ol":
		// Advisories speak of the major release; the minor ones are its updates.
		version, _, _ = strings.Cut(version, ".")
	case "sled", "sles_sap", "sle_hpc":
		id = "sles" // of the same packages
	}
	return f.distribution(id, version, values["PRETTY_NAME"])
}

// rolling are distributions of one release that goes on: their VERSION_ID is a date.
var rolling = map[string]bool{"wolfi": true, "chainguard": true, "opensuse-tumbleweed": true}

// assignments reads shell-like assignments: KEY=value, KEY="value", KEY='value'.
func assignments(lines []string) map[string]string {
	values := make(map[string]string)
	for _, line := range lines {
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(key, "#") {
			continue
		}
		values[key] = unquote(value)
	}
	return values
}

func unquote(s string) string {
	if len(s) < 2 || s[0] != s[len(s)-1] || s[0] != '"' && s[0] != '\'' {
		return s
	}
	quote := s[0]
	s = s[1 : len(s)-1]
	if quote == '\'' || !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func parseLSBRelease(f *findings, lines []string) *Distribution {
	values := assignments(lines)
	id, version := strings.ToLower(values["DISTRIB_ID"]), values["DISTRIB_RELEASE"]
	if id == "" {
		return nil // RHEL's says only which versions of the standard it meets
	}
	if id == "debian" {
		version = debianRelease(version, values["DISTRIB_CODENAME"], values["DISTRIB_DESCRIPTION"])
	}
	return f.distribution(id, version, values["DISTRIB_DESCRIPTION"])
}

func parseAlpineRelease(f *findings, lines []string) *Distribution {
	version := alpineBranch(first(lines), "")
	if version == "" {
		f.warn(Malformed, "%q is no release", clip(first(lines)))
		return nil
	}
	return f.distribution("alpine", version, "Alpine Linux "+version)
}

func first(lines []string) string {
	for _, line := range lines {
		if line != "" {
			return line
		}
	}
	return ""
}

// alpineBranch is the branch that a release belongs to: "v3.20" of "3.20.3".
// Edge calls itself an alpha of the release to come (3.21.0_alpha20240807).
func alpineBranch(release, pretty string) string {
	if strings.Contains(release, "_alpha") || strings.Contains(release, "edge") || strings.HasSuffix(pretty, " edge") {
		return "edge"
	}
	match := alpineRelease.FindStringSubmatch(release)
	if match == nil {
		return ""
	}
	return "v" + match[1]
}

var alpineRelease = regexp.MustCompile(`^v?(\d+\.\d+)(?:[._-]|$)`)

func parseDebianVersion(f *findings, lines []string) *Distribution {
	text := first(lines)
	codename, _, _ := strings.Cut(text, "/")
	version := debianRelease(text, codename, "")
	if version == "" {
		f.warn(Malformed, "%q is no release", clip(text))
		return nil
	}
	return f.distribution("debian", version, "Debian GNU/Linux "+text)
}

// debianCodenames are Debian's releases by name (https://www.debian.org/releases/).
var debianCodenames = map[string]string{
	"etch": "4", "lenny": "5", "squeeze": "6", "wheezy": "7", "jessie": "8",
	"stretch": "9", "buster": "10", "bullseye": "11", "bookworm": "12",
	"trixie": "13", "forky": "14", "duke": "15", "sid": "unstable",
}

// debianRelease is the release that advisories speak of: the major number, or
// "unstable". Testing and unstable have no number but a name, the same in both
// ("trixie/sid"): the name of the release that testing is to become is taken.
func debianRelease(version, codename, pretty string) string {
	if major, _, _ := strings.Cut(version, "."); isNumber(major) {
		return major
	}
	if v := debianCodenames[strings.ToLower(codename)]; v != "" {
		return v
	}
	for _, text := range []string{version, pretty} {
		for _, word := range strings.Fields(strings.ToLower(text)) {
			name, testing, _ := strings.Cut(strings.Trim(word, "()"), "/")
			if v := debianCodenames[name]; v != "" {
				return v
			}
			if testing == "sid" {
				return "unstable" // of a name that is newer than this list
			}
		}
	}
	return ""
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// redHatIDs are the os-release IDs by the name in the older release files.
var redHatIDs = []struct{ name, id string }{
	{"Red Hat Enterprise Linux", "rhel"},
	{"CentOS", "centos"},
	{"Rocky Linux", "rocky"},
	{"AlmaLinux", "almalinux"},
	{"Oracle Linux", "ol"},
	{"Fedora", "fedora"},
	{"Amazon Linux", "amzn"},
}

var redHatRelease = regexp.MustCompile(`\brelease (\d+)((?:\.\d+)*)`)

func parseRedHatRelease(f *findings, lines []string) *Distribution {
	text := first(lines)
	match := redHatRelease.FindStringSubmatch(text)
	for _, r := range redHatIDs {
		if match == nil || !strings.HasPrefix(text, r.name) {
			continue
		}
		version := match[1]
		if r.id == "amzn" && len(version) == 4 && version < "2020" {
			version += match[2] // the first one counts by months: 2018.03
		}
		return f.distribution(r.id, version, text)
	}
	f.warn(Malformed, "%q is no release", clip(text))
	return nil
}
