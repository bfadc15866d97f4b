package inventory

import (
	"encoding/json"
	"io"
	"path"
	"strings"
)

type redhat struct{ opts DetectorOptions }

// NewRedHat returns the detector of what Red Hat's build systems leave in an
// image: the repositories ("content sets") that its packages came from, and the
// labels of the image itself.
//
// OSBS wrote root/buildinfo/content_manifests/NAME-VERSION-RELEASE.json and
// root/buildinfo/Dockerfile-NAME-VERSION-RELEASE; Konflux writes
// usr/share/buildinfo/content-sets.json and labels.json, with copies below
// root/buildinfo. On bootable images root is a link to var/roothome.
func NewRedHat(opts DetectorOptions) Detector { return redhat{opts.withDefaults()} }

func (redhat) Name() string { return "redhat" }
func (redhat) Version() int { return 2 }

// Directories is empty, for root may well be a link: nothing is lost by that.
func (redhat) Directories() []string { return nil }

func (redhat) Wants(p string) bool {
	for _, dir := range [...]string{"root/buildinfo/", "usr/share/buildinfo/", "var/roothome/buildinfo/"} {
		if name, ok := strings.CutPrefix(p, dir); ok {
			name = strings.TrimPrefix(name, "content_manifests/")
			return !strings.Contains(name, "/") && (strings.HasSuffix(name, ".json") || strings.HasPrefix(name, "Dockerfile-"))
		}
	}
	return false
}

// maxContentSets is far beyond what Red Hat has for one release.
const maxContentSets = 2000

func (d redhat) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "redhat")
	if strings.HasPrefix(path.Base(p), "Dockerfile-") {
		text, err := io.ReadAll(io.LimitReader(c, 1<<20))
		if err != nil {
			return found.result(err)
		}
		found.component(labelsOf(string(text)))
		return found.result(nil)
	}
	text, ok, err := found.document(c, d.opts)
	if !ok {
		return found.result(err)
	}
	if path.Base(p) == "labels.json" {
		labels := make(map[string]string)
		if err := json.Unmarshal(text, &labels); err != nil {
			found.warn(Malformed, "the file does not list labels: %s", clip(err.Error()))
			return found.result(nil)
		}
		found.component(labels)
		return found.result(nil)
	}
	var manifest struct {
		ContentSets []string `json:"content_sets"`
		FromDNFHint bool     `json:"from_dnf_hint"`
	}
	if err := json.Unmarshal(text, &manifest); err != nil {
		found.warn(Malformed, "the file does not list content sets: %s", clip(err.Error()))
		return found.result(nil)
	}
	if len(manifest.ContentSets) > maxContentSets {
		found.warn(Limit, "only the first %d content sets are read", maxContentSets)
		manifest.ContentSets = manifest.ContentSets[:maxContentSets]
	}
	sets := &ContentSets{Hint: manifest.FromDNFHint}
	for _, id := range manifest.ContentSets {
		if !isToken(id) {
			found.warn(Malformed, "content set %q cannot be one", clip(id))
			continue
		}
		sets.Repositories = append(sets.Repositories, id)
	}
	if len(sets.Repositories) > 0 { // else it speaks of what no RPM package was put into
		found.file.ContentSets = sets
	}
	return found.result(nil)
}

func (f *findings) component(labels map[string]string) {
	if c, ok := ComponentOf(labels); ok {
		f.file.Component = &c
	}
}

// ComponentOf reads which container of Red Hat's an image is, or was built from,
// out of the labels of its configuration or of one of its layers. ok is false
// where they do not say.
func ComponentOf(labels map[string]string) (c Component, ok bool) {
	value := func(key string) string {
		// Some build files keep the quotes as part of the value.
		if v := strings.Trim(strings.TrimSpace(labels[key]), `"'`); isToken(v) {
			return v
		}
		return ""
	}
	c = Component{
		ID: value("com.redhat.component"), Name: value("name"), Version: value("version"), Architecture: value("architecture"), CPE: value("cpe"),
	}
	if release := value("release"); release != "" && c.Version != "" {
		c.Version += "-" + release
	}
	return c, c.ID != "" || c.CPE != ""
}

// labelsOf reads the labels of a build file (Dockerfile reference, "LABEL"): pairs
// of KEY=VALUE, quoted maybe, on lines that go on after a backslash; or KEY VALUE.
func labelsOf(dockerfile string) map[string]string {
	const most = 1000
	labels := make(map[string]string)
	dockerfile = strings.NewReplacer("\r\n", "\n", "\\\r\n", " ", "\\\n", " ").Replace(dockerfile)
	for line := range strings.Lines(dockerfile) {
		line = strings.TrimSpace(line)
		if len(line) < 6 || !strings.EqualFold(line[:5], "label") || line[5] != ' ' && line[5] != '\t' || len(labels) > most {
			continue
		}
		words := quotedWords(line[6:])
		if len(words) >= 2 && !strings.Contains(words[0], "=") {
			labels[words[0]] = strings.Join(words[1:], " ")
			continue
		}
		for _, word := range words {
			if key, value, ok := strings.Cut(word, "="); ok {
				labels[key] = value
			}
		}
	}
	return labels
}

// quotedWords cuts a line at spaces that are not quoted, and takes the quotes away.
func quotedWords(line string) (words []string) {
	var word strings.Builder
	var quote byte
	started := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quote != '\'' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			started = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, started = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	return words
}
