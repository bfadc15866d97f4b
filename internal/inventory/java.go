package inventory

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

// What one Java archive may cost, with all that lies in it.
const (
	javaDepth     = 5         // archives in archives
	javaEntries   = 200_000   // of all their directories
	javaDirectory = 64 << 20  // bytes of one directory
	javaInner     = 64 << 20  // bytes of one inner archive
	javaBytes     = 512 << 20 // bytes that are decompressed in all
	javaSmall     = 1 << 20   // bytes of a file that describes a package
)

type java struct{}

// NewJava returns the detector of Java archives: the Maven packages that they
// say they hold (META-INF/maven, of shaded ones all), else what their manifest
// or name says that they are; and the same of the archives in them.
func NewJava() Detector { return java{} }

func (java) Name() string          { return "java" }
func (java) Version() int          { return 1 }
func (java) Directories() []string { return nil }
func (java) Wants(p string) bool   { return isJavaArchive(p) }

func isJavaArchive(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".jar", ".war", ".ear", ".par", ".sar", ".hpi", ".jpi", ".nar", ".kar", ".aar", ".rar":
		return true
	}
	return false
}

func (java) Detect(p string, c *Content) (File, []Warning, error) {
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
	a := &javaArchives{findings: found, entries: javaEntries, bytes: javaBytes}
	a.read(content, size, path.Base(p), "", 0)
	return found.result(nil)
}

// javaArchives is the reading of one archive and of those in it.
type javaArchives struct {
	*findings
	entries int
	bytes   int64
}

// errJavaBudget says that an archive takes more to read than it may.
var errJavaBudget = errors.New("the archive is beyond the limit of what is read")

// read reads the archive called name, which lies at within in the outermost.
func (a *javaArchives) read(content io.ReaderAt, size int64, name, within string, depth int) {
	label := within
	if label == "" {
		label = "the archive"
	}
	if err := a.bounded(content, size); err != nil {
		a.warn(Limit, "%s: %s", clip(label), err)
		return
	}
	archive, err := zip.NewReader(content, size)
	if err != nil {
		a.warn(Malformed, "%s is no zip file: %s", clip(label), err)
		return
	}
	if a.entries -= len(archive.File); a.entries < 0 {
		a.warn(Limit, "%s: only %d entries are looked at", clip(label), javaEntries)
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
	own, named := false, 0
	prefix := strings.TrimPrefix(within+"!/", "!/")
	add := func(group, artifact, version, evidence string) bool {
		if !isToken(artifact) || !isToken(version) || group != "" && !isToken(group) || strings.ContainsAny(group+artifact+version, "${}") {
			return false
		}
		if group != "" {
			group += ":"
		}
		own, named = own || strings.HasPrefix(name, artifact), named+1
		a.addProved(Package{Type: "maven", Name: group + artifact, Version: version}, prefix+evidence)
		return true
	}
	for _, f := range properties {
		values, err := a.properties(f)
		if err != nil {
			a.warn(Malformed, "%s%s: %s", clip(prefix), clip(f.Name), err)
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
			a.warn(Malformed, "%s%s: %s", clip(prefix), clip(f.Name), err)
			continue
		}
		told[path.Dir(f.Name)] = add(group, artifact, version, f.Name)
	}
	if own || named == 1 { // of one that is called otherwise, too
		return
	}
	a.unnamed(manifest, name, prefix, add)
}

// bounded checks the size that the end of the archive states of its directory
// before it is read (APPNOTE.TXT, section 4.3.16).
func (a *javaArchives) bounded(content io.ReaderAt, size int64) error {
	const record = 22
	tail := make([]byte, min(size, record+65535))
	if _, err := content.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return err
	}
	if at := bytes.LastIndex(tail, []byte("PK\x05\x06")); at >= 0 && at+record <= len(tail) {
		directory := binary.LittleEndian.Uint32(tail[at+12:])
		if directory != 0xffffffff && directory > javaDirectory {
			return fmt.Errorf("its directory has %d bytes: %w", directory, errJavaBudget)
		}
	}
	if size > 1<<32 {
		return errJavaBudget
	}
	return nil
}

// open decompresses an entry of at most limit bytes.
func (a *javaArchives) open(f *zip.File, limit int64) ([]byte, error) {
	limit = min(limit, a.bytes)
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	a.bytes -= int64(len(text))
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("more than %d bytes: %w", limit, errJavaBudget)
	}
	return text, err
}

// inner reads an archive in the archive.
func (a *javaArchives) inner(f *zip.File, within string, depth int) {
	at := strings.TrimPrefix(within+"!/"+f.Name, "!/")
	if f.FileInfo().IsDir() {
		return
	}
	if depth == javaDepth {
		a.warn(Limit, "%s: archives are read %d deep", clip(at), javaDepth)
		return
	}
	text, err := a.open(f, javaInner)
	switch {
	case errors.Is(err, errJavaBudget):
		a.warn(Limit, "%s: %s", clip(at), err)
		return
	case err != nil:
		a.warn(Malformed, "%s: %s", clip(at), err)
		return
	}
	a.read(bytes.NewReader(text), int64(len(text)), path.Base(f.Name), at, depth+1)
}

// properties reads KEY=VALUE lines.
func (a *javaArchives) properties(f *zip.File) (map[string]string, error) {
	text, err := a.open(f, javaSmall)
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
func (a *javaArchives) pom(f *zip.File) (group, artifact, version string, err error) {
	text, err := a.open(f, javaSmall)
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
func (a *javaArchives) unnamed(manifest *zip.File, name, prefix string, add func(group, artifact, version, evidence string) bool) {
	m := javaName.FindStringSubmatch(name)
	if m != nil && add("", m[1], m[2], "file name") {
		return
	}
	if manifest == nil {
		return
	}
	text, err := a.open(manifest, javaSmall)
	if err != nil {
		a.warn(Malformed, "%sMETA-INF/MANIFEST.MF: %s", clip(prefix), err)
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
