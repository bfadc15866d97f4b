package inventory

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// jar makes an archive of names and contents in turn.
func jar(t testing.TB, entries ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for i := 0; i < len(entries); i += 2 {
		w, err := z.Create(entries[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(entries[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func maven(group, artifact, version string) []string {
	return []string{"META-INF/maven/" + group + "/" + artifact + "/pom.properties", "# made\ngroupId=" + group + "\nartifactId=" + artifact + "\nversion=" + version + "\n"}
}

func inJar(t testing.TB, name, content string) []string {
	t.Helper()
	f, warnings, err := NewJava(DetectorOptions{}).Detect(name, contentOf(strings.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, r := range f.Packages {
		out = append(out, r.Type+" "+r.Name+" "+r.Version+" by "+r.Evidence)
	}
	for _, w := range warnings {
		out = append(out, w.Code+": "+w.Message)
	}
	return out
}

func TestJava(t *testing.T) {
	const pom = "META-INF/maven/org.a/b/pom.xml"
	log4j := jar(t, maven("org.apache.logging.log4j", "log4j-core", "2.14.1")...)
	deep := log4j
	for range 6 {
		deep = jar(t, "x.jar", deep)
	}
	tests := []struct {
		name, file, content string
		want                []string
	}{
		{"its properties", "log4j-core-2.14.1.jar", log4j, []string{"maven org.apache.logging.log4j:log4j-core 2.14.1 by META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties"}},
		{"shaded", "app-1.0.jar", jar(t, append(maven("com.x", "app", "1.0"), maven("org.y", "lib", "2")...)...),
			[]string{"maven com.x:app 1.0 by META-INF/maven/com.x/app/pom.properties", "maven org.y:lib 2 by META-INF/maven/org.y/lib/pom.properties"}},
		{"in a war in an ear", "x.ear", jar(t, "x.war", jar(t, "WEB-INF/lib/log4j.jar", log4j)),
			[]string{"maven org.apache.logging.log4j:log4j-core 2.14.1 by x.war!/WEB-INF/lib/log4j.jar!/META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties"}},
		{"behind a script", "app.jar", "#!/bin/sh\nexec java -jar $0\n" + log4j,
			[]string{"maven org.apache.logging.log4j:log4j-core 2.14.1 by META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties"}},
		{"a project file with a parent", "b.jar", jar(t, pom, "<project><parent><groupId>org.a</groupId><version>3</version></parent><artifactId>b</artifactId></project>"),
			[]string{"maven org.a:b 3 by " + pom}},
		{"a project file with a variable", "b-4.jar", jar(t, pom, "<project><groupId>org.a</groupId><artifactId>b</artifactId><version>${revision}</version></project>", "x", ""),
			[]string{"maven b 4 by file name"}},
		{"one other shaded", "guice-4.2.3.jar", jar(t, maven("cglib", "cglib", "3.2.12")...),
			[]string{"maven cglib:cglib 3.2.12 by META-INF/maven/cglib/cglib/pom.properties", "maven guice 4.2.3 by file name"}},
		{"called otherwise", "maven3-core-3.8.7.jar", jar(t, maven("org.apache.maven", "maven-core", "3.8.7")...),
			[]string{"maven org.apache.maven:maven-core 3.8.7 by META-INF/maven/org.apache.maven/maven-core/pom.properties"}},
		{"called otherwise, with the version of OSGi", "x.jar", jar(t, append(maven("org.a", "b", "1.2"), "META-INF/MANIFEST.MF", "Bundle-Version: 1.2.0.v2024\n")...),
			[]string{"maven org.a:b 1.2 by META-INF/maven/org.a/b/pom.properties"}},
		{"its name", "commons-io-2.11.0-sources.jar", jar(t, "x", ""), []string{"maven commons-io 2.11.0 by file name"}},
		{"its name, with a longer version", "guava-31.1-jre.jar", jar(t, "x", ""), []string{"maven guava 31.1-jre by file name"}},
		{"its manifest", "asm.jar", jar(t, "META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nBundle-SymbolicName: org.objectweb.\r\n asm;singleton:=true\r\nBundle-Version: 9.4.0\r\n\r\nName: x\r\nImplementation-Version: 7\r\n"),
			[]string{"maven org.objectweb.asm 9.4.0 by META-INF/MANIFEST.MF"}},
		{"nothing that tells", "x.jar", jar(t, "a", "b"), nil},
		{"nothing", "x.jar", "", nil},
		{"no archive", "x.jar", "hello", []string{"malformed: the archive: zip: not a valid zip file"}},
		{"the other kind of rar", "x.rar", "Rar!", nil},
		{"a damaged one inside", "x-1.jar", jar(t, "a.jar", "PK", "b.jar", log4j), []string{
			"maven org.apache.logging.log4j:log4j-core 2.14.1 by b.jar!/META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties",
			"maven x 1 by file name", "malformed: a.jar: zip: not a valid zip file"}},
		{"too deep", "x.jar", deep, []string{"limit: x.jar!/x.jar!/x.jar!/x.jar!/x.jar!/x.jar: limit exceeded: archive depth > 5"}},
		{"a bomb inside", "x.jar", jar(t, "bomb.jar", strings.Repeat("\x00", 2<<20)), []string{"limit: bomb.jar: limit exceeded: archive ratio > 200"}},
	}
	for _, test := range tests {
		if diff := cmp.Diff(test.want, inJar(t, test.file, test.content)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestRealJars looks at archives of Debian, where they are installed: each has a
// package by the name that Debian gives its file.
func TestRealJars(t *testing.T) {
	files, err := filepath.Glob("/usr/share/java/*-[0-9]*.jar")
	if err != nil || len(files) == 0 {
		t.Skip("no archives are installed")
	}
	for _, name := range files {
		if strings.Contains(name, "~") {
			continue // a version of Debian's own making
		}
		content, err := os.ReadFile(name)
		if err != nil {
			continue // a link to nowhere
		}
		if got := inJar(t, name, string(content)); !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "maven ") }) {
			t.Errorf("%s: %q", name, got)
		}
	}
	t.Logf("%d archives", len(files))
}

func FuzzJava(f *testing.F) {
	inner := jar(f, maven("a", "b", "1")...)
	f.Add([]byte(inner))
	f.Add([]byte(jar(f, "x.war", inner, "META-INF/MANIFEST.MF", "Bundle-Version: 1\n")))
	f.Add([]byte(inner[:len(inner)-10]))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, warnings, err := NewJava(DetectorOptions{}).Detect("a-1.jar", contentOf(bytes.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range file.Packages {
			if !isToken(p.Name) || !isToken(p.Version) {
				t.Errorf("package %q %q", p.Name, p.Version)
			}
		}
		if len(warnings) > maxWarnings+1 {
			t.Errorf("%d warnings", len(warnings))
		}
	})
}
