package inventory

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"io"
	"path"
	"regexp"
	"strings"

	"github.com/pratique/pratique/internal/version"
)

type java struct{ opts DetectorOptions }

// NewJava returns the detector of Java archives: the Maven packages that they
// say they hold (META-INF/maven, of shaded ones all), else what their manifest
// or name says that they are; and the same of the archives in them.
func NewJava(opts DetectorOptions) Detector { return java{opts.withDefaults()} }

func (java) Name() string          { return "java" }
func (java) Version() int          { return 3 }
func (java) Directories() []string { return nil }
func (java) Wants(p string) bool   { return isJavaArchive(p) }

func isJavaArchive(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".nar", ".kar", ".aar", ".rar":
		return true
	}
	return false
}

func (d java) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "java")
	head, err := c.Head(4)
	if err != nil || len(head) == 0 {
		return found.result(err)
	}
	if strings.EqualFold(path.Ext(p), ".rar") && !bytes.HasPrefix(head, []byte("PK")) {
		return found.result(nil) // the other kind of .rar
	}
	content, size, err := c.ReaderAt()
	if err != nil {
		return found.result(err)
	}
	a := javaArchives{newArchives(found, d.opts, c)}
	a.read(content, size, path.Base(p), "", 0)
	return found.result(nil)
}

// javaArchives reads archives of Java.
type javaArchives struct{ *archives }

// read reads the archive called name, which lies at within in the outermost.
func (a javaArchives) read(content io.ReaderAt, size int64, name, within string, depth int64) {
	archive, err := a.directory(content, size)
	if err != nil {
		a.failed(cmp.Or(within, "the archive"), err)
		return
	}
	var properties, poms []*zip.File
	var manifest *zip.File
	for _, f := range archive.File {
		switch {
		case f.Name == "META-INF/MANIFEST.MF":
			manifest = f
		case strings.HasPrefix(f.Name, "META-INF/maven/") && path.Base(f.Name) == "pom.properties":
			properties = append(properties, f)
		case strings.HasPrefix(f.Name, "META-INF/maven/") && path.Base(f.Name) == "pom.xml":
			poms = append(poms, f)
		case isJavaArchive(f.Name):
			a.inner(f, within, depth)
		}
	}
	told := make(map[string]bool) // folders of META-INF/maven
	own, named, last := false, 0, ""
	prefix := strings.TrimPrefix(within+"!/", "!/")
	add := func(group, artifact, version, evidence string) bool {
		if !isToken(artifact) || !isToken(version) || group != "" && !isToken(group) || strings.ContainsAny(group+artifact+version, "${}") {
			return false
		}
		if group != "" {
			group += ":"
		}
		own, named, last = own || strings.HasPrefix(name, artifact), named+1, version
		a.addProved(Package{Type: "maven", Name: group + artifact, Version: version}, prefix+evidence)
		return true
	}
	for _, f := range properties {
		values, err := a.properties(f)
		if err != nil {
			a.failed(prefix+f.Name, err)
			continue
		}
		told[path.Dir(f.Name)] = add(values["groupId"], values["artifactId"], values["version"], f.Name)
	}
	for _, f := range poms {
		if told[path.Dir(f.Name)] {
			continue
		}
		group, artifact, version, err := a.pom(f)
		if err != nil {
			a.failed(prefix+f.Name, err)
			continue
		}
		told[path.Dir(f.Name)] = add(group, artifact, version, f.Name)
	}
	if own {
		return
	}
	if named == 1 {
		// Of two things one: what is named is the archive, which is called
		// otherwise, or it is all that the archive has of others.
		described := last
		a.unnamed(manifest, name, prefix, func(group, artifact, version, evidence string) bool {
			return !sameJava(version, described) && add(group, artifact, version, evidence)
		})
		return
	}
	a.unnamed(manifest, name, prefix, add)
}

// sameJava reports versions that name one release: OSGi writes 1.2 as 1.2.0, and
// adds qualifiers.
func sameJava(a, b string) bool {
	if c, err := version.Compare(version.Maven, a, b); err == nil && c == 0 {
		return true
	}
	return strings.HasPrefix(a+".", b+".") || strings.HasPrefix(b+".", a+".")
}

// inner reads an archive in the archive.
func (a javaArchives) inner(f *zip.File, within string, depth int64) {
	at := strings.TrimPrefix(within+"!/"+f.Name, "!/")
	if f.FileInfo().IsDir() {
		return
	}
	if depth == a.opts.ArchiveDepth {
		a.failed(at, exceeded("archive depth", depth))
		return
	}
	text, err := a.open(f, "archive inner", a.opts.ArchiveInner-a.held)
	if err != nil {
		a.failed(at, err)
		return
	}
	a.held += int64(len(text))
	a.read(bytes.NewReader(text), int64(len(text)), path.Base(f.Name), at, depth+1)
	a.held -= int64(len(text))
}

// properties reads KEY=VALUE lines.
func (a javaArchives) properties(f *zip.File) (map[string]string, error) {
	text, err := a.open(f, "archive description", archiveSmall)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(key, "#") {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return values, nil
}

// pom reads what a project file says without its parents.
func (a javaArchives) pom(f *zip.File) (group, artifact, version string, err error) {
	text, err := a.open(f, "archive description", archiveSmall)
	if err != nil {
		return "", "", "", err
	}
	type coordinates struct {
		Group    string `xml:"groupId"`
		Artifact string `xml:"artifactId"`
		Version  string `xml:"version"`
	}
	var project struct {
		coordinates
		Parent coordinates `xml:"parent"`
	}
	if err := xml.Unmarshal(text, &project); err != nil {
		return "", "", "", errors.New("it is no XML")
	}
	if project.Group == "" {
		project.Group = project.Parent.Group
	}
	if project.Version == "" {
		project.Version = project.Parent.Version
	}
	return strings.TrimSpace(project.Group), strings.TrimSpace(project.Artifact), strings.TrimSpace(project.Version), nil
}

// javaName is how archives are called: artifact-1.2.3.jar, with a classifier
// maybe. A version starts with a digit.
var javaName = regexp.MustCompile(`^([A-Za-z][\w.]*(?:-[A-Za-z_][\w.]*)*)-v?(\d[\w.]*(?:-(?:SNAPSHOT|RELEASE|Final|GA|M\d+|RC\d*|alpha[.\d]*|beta[.\d]*|jre|android))?)(?:-[A-Za-z][\w.-]*)?\.\w+$`)

// unnamed says what an archive is that does not say so for Maven.
func (a javaArchives) unnamed(manifest *zip.File, name, prefix string, add func(group, artifact, version, evidence string) bool) {
	m := javaName.FindStringSubmatch(name)
	if m != nil && add("", m[1], m[2], "file name") {
		return
	}
	if manifest == nil {
		return
	}
	text, err := a.open(manifest, "archive description", archiveSmall)
	if err != nil {
		a.failed(prefix+"META-INF/MANIFEST.MF", err)
		return
	}
	values := manifestValues(string(text))
	artifact := strings.TrimSuffix(name, path.Ext(name))
	for _, key := range []string{"Implementation-Version", "Bundle-Version", "Specification-Version"} {
		if version := values[key]; version != "" && version[0] >= '0' && version[0] <= '9' {
			if symbolic, _, _ := strings.Cut(values["Bundle-SymbolicName"], ";"); key == "Bundle-Version" && symbolic != "" {
				artifact = symbolic
			}
			add("", artifact, version, "META-INF/MANIFEST.MF")
			return
		}
	}
}

// manifestValues reads the main section of a manifest (JAR File Specification,
// "JAR Manifest"): lines that start with a space go on with the one before.
func manifestValues(text string) map[string]string {
	values := make(map[string]string)
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	text, _, _ = strings.Cut(text, "\n\n")
	text = strings.ReplaceAll(text, "\n ", "")
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return values
}
