package inventory

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
)

// classifier knows a program or library that carries no list of what it was built
// of by a text in it that states its version.
type classifier struct {
	product string
	// file is how the file is called.
	file *regexp.Regexp
	// key is in the text; window is matched from back bytes before it on. The first
	// group is the version.
	key    string
	back   int
	window *regexp.Regexp
}

// classifiers are of what images have without a package of the operating system's.
// Each pattern was seen in programs that Debian or the project itself builds,
// except MySQL's.
var classifiers = []classifier{
	{"bash", named(`bash`), "@(#)Bash version ", 0, regexp.MustCompile(`^@\(#\)Bash version (\d+\.\d+\.\d+)`)},
	// Where the applets are hard links, the content comes under the first name.
	{"busybox", named(`busybox(?:\..*)?|\[`), "BusyBox v", 0, regexp.MustCompile(`^BusyBox v(\d+\.\d+\.\d+)\b`)},
	{"curl", named(`curl`), "curl ", 0, regexp.MustCompile(`^curl (\d+\.\d+\.\d+) \(`)},
	{"curl", named(`libcurl(?:-\w+)?\.so\..*`), "libcurl/", 0, regexp.MustCompile(`^libcurl/(\d+\.\d+\.\d+)`)},
	{"git", named(`git`), "git/", 0, regexp.MustCompile(`^git/(\d+\.\d+\.\d+)`)},
	{"haproxy", named(`haproxy`), " version ", 0, regexp.MustCompile(`^ version (\d+\.\d+(?:\.\d+|-dev\d+))[^,\x00]{0,40}, released \d`)},
	{"httpd", named(`httpd|apache2`), "Apache/", 0, regexp.MustCompile(`^Apache/(\d+\.\d+\.\d+)`)},
	{"mariadb", named(`mariadbd|mysqld`), "-MariaDB", 16, regexp.MustCompile(`\x00(\d+\.\d+\.\d+)-MariaDB[-+.\w]{0,40}\x00`)},
	{"memcached", named(`memcached`), "memcached ", 0, regexp.MustCompile(`^memcached (\d+\.\d+\.\d+)\b`)},
	{"mysql", named(`mysqld`), "/mysql-", 0, regexp.MustCompile(`^/mysql-(\d+\.\d+\.\d+)/`)},
	{"nginx", named(`nginx`), "nginx version: nginx/", 0, regexp.MustCompile(`^nginx version: nginx/(\d+\.\d+\.\d+)`)},
	{"node", named(`node|nodejs|libnode\.so\..*`), "node.js/v", 0, regexp.MustCompile(`^node\.js/v(\d+\.\d+\.\d+)`)},
	{"openssl", named(`openssl|lib(?:crypto|ssl)\.so(?:\..*)?`), "OpenSSL ", 0, regexp.MustCompile(`^OpenSSL (\d+\.\d+\.\d+[a-z]*(?:-[a-z]+\d*)?) {1,2}\d{1,2} [A-Z][a-z]{2} \d{4}`)},
	{"perl", named(`perl(?:5.*)?|libperl\.so(?:\..*)?`), "\x00v5.", 0, regexp.MustCompile(`^\x00v(5\.\d+\.\d+)\x00`)},
	{"php", named(`php(?:-cgi|-fpm)?\d*(?:\.\d+)?|libphp[\d.]*\.so`), "X-Powered-By: PHP/", 0, regexp.MustCompile(`^X-Powered-By: PHP/(\d+\.\d+\.\d+)`)},
	{"postgresql", named(`postgres|psql`), "(PostgreSQL) ", 0, regexp.MustCompile(`^\(PostgreSQL\) (\d+(?:\.\d+)+|\d+(?:beta|rc)\d+)`)},
	{"python", named(`(?:lib)?python3.*`), "\x003.", 0, regexp.MustCompile(`^\x00(3\.\d+\.\d+(?:a|b|rc)?\d*)\+?\x00`)},
	{"python", named(`(?:lib)?python2.*`), "\x002.", 0, regexp.MustCompile(`^\x00(2\.\d+\.\d+(?:a|b|rc)?\d*)\+?\x00`)},
	{"redis", named(`redis-(?:server|check-rdb)`), "", 0, nil},
	{"ruby", named(`ruby[\d.]*|libruby.*\.so.*`), "ruby ", 0, regexp.MustCompile(`^ruby (\d+\.\d+\.\d+)(?:p\d+|(?:preview|rc|dev)\d*)? \(\d{4}-\d\d-\d\d `)},
	{"sqlite", named(`libsqlite3\.so(?:\..*)?`), "\x003.", 0, regexp.MustCompile(`^\x00(3\.\d+\.\d+)\x00`)},
	{"valkey", named(`valkey-(?:server|check-rdb)`), "", 0, nil},
	{"zlib", named(`libz\.so(?:\..*)?`), " deflate ", 0, regexp.MustCompile(`^ deflate (\d+\.\d+(?:\.\d+)*) Copyright`)},
}

func named(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(?:` + pattern + `)$`) }

// classifiable reports names of libraries that classifiers are for.
func classifiable(base string) bool {
	if !strings.HasPrefix(base, "lib") || !strings.Contains(base, ".so") {
		return false
	}
	return slices.ContainsFunc(classifiers, func(c classifier) bool { return c.file.MatchString(base) })
}

// knownAs reports whether a program is to be listed by a further name, that of a
// hard link: those of the applets of BusyBox are many.
func knownAs(f *File, p string) bool {
	if len(f.Packages) == 0 || f.Packages[0].Type != "generic" {
		return true
	}
	base := path.Base(p)
	return base == path.Base(f.Path) || slices.ContainsFunc(classifiers, func(c classifier) bool {
		return c.product == f.Packages[0].Name && c.file.MatchString(base)
	})
}

// classify tells a program by what is in it.
func (f *findings) classify(content io.ReaderAt, size int64, scratch []byte) error {
	base := path.Base(f.file.Path)
	for _, c := range classifiers {
		if !c.file.MatchString(base) {
			continue
		}
		version, evidence, err := c.version(content, size, scratch)
		if err != nil {
			return err
		}
		if version != "" {
			f.addProved(Package{Type: "generic", Name: c.product, Version: version}, evidence)
			return nil
		}
	}
	return nil
}

// version looks for the text that states it, and says what it found where.
func (c classifier) version(content io.ReaderAt, size int64, scratch []byte) (version, evidence string, err error) {
	const window = 128
	if c.key == "" {
		return serverVersion(content, size, scratch)
	}
	err = eachPart(content, size, scratch, window, func(part []byte, at int64) bool {
		for from := 0; ; {
			i := bytes.Index(part[from:], []byte(c.key))
			if i < 0 {
				return true
			}
			i += from
			start := max(i-c.back, 0)
			if m := c.window.FindSubmatch(part[start:min(i+window, len(part))]); m != nil {
				version, evidence = string(m[1]), fmt.Sprintf("%q at byte %d", printable(string(m[0])), at+int64(start))
				return false
			}
			from = i + len(c.key)
		}
	})
	return version, evidence, err
}

// serverVersion tells Redis and Valkey, which have their version as a text of its
// own, and others' beside it: it is the one that an identity of the build starts
// with, VERSION and HOST-TIME without a space.
func serverVersion(content io.ReaderAt, size int64, scratch []byte) (version, evidence string, err error) {
	const most = 1000
	alone := make(map[string]bool)
	var builds []string
	err = eachPart(content, size, scratch, 256, func(part []byte, _ int64) bool {
		for i := 1; i < len(part); i++ {
			// Most bytes are not a first digit with a dot behind the number.
			if part[i] != '.' || !isDigit(part[i-1]) {
				continue
			}
			start := i - 1
			if start > 0 && isDigit(part[start-1]) {
				start--
			}
			m := serverVersionText.Find(part[start:min(start+128, len(part))])
			switch {
			case m == nil:
			case len(m) > 16:
				builds = append(builds, string(m[:len(m)-1]))
			default:
				alone[string(m[:len(m)-1])] = true
			}
		}
		return len(alone) < most && len(builds) < most
	})
	for _, build := range builds {
		for v := range alone {
			if strings.HasPrefix(build, v) && len(v) > len(version) && len(build) >= len(v)+10 {
				version, evidence = v, fmt.Sprintf("%q", clip(build))
			}
		}
	}
	return version, evidence, err
}

var serverVersionText = regexp.MustCompile(`^\d{1,2}\.\d{1,2}\.\d{1,2}(?:[0-9A-Za-z_.-]{10,90})?\x00`)

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// eachPart reads the content in parts that overlap by so many bytes, until visit
// returns false.
func eachPart(content io.ReaderAt, size int64, scratch []byte, overlap int, visit func(part []byte, at int64) bool) error {
	for at := int64(0); at < size; at += int64(len(scratch) - overlap) {
		n, err := content.ReadAt(scratch[:min(int64(len(scratch)), size-at)], at)
		if err != nil && err != io.EOF {
			return err
		}
		if !visit(scratch[:n], at) || n < len(scratch) {
			return nil
		}
	}
	return nil
}

// releaseOf tells a Java runtime and Erlang by the file that says its release, and
// reports whether the path is one of such a file.
func (f *findings) releaseOf(c *Content) (bool, error) {
	base := path.Base(f.file.Path)
	if base != "release" && base != "OTP_VERSION" {
		return false, nil
	}
	text, err := io.ReadAll(io.LimitReader(c, 64<<10))
	if err != nil {
		return true, err
	}
	if base == "OTP_VERSION" {
		if version := strings.TrimSpace(string(text)); erlangVersion.MatchString(version) {
			f.add(Package{Type: "generic", Name: "erlang", Version: version}, 1)
		}
		return true, nil
	}
	values := assignments(strings.Split(string(text), "\n"))
	version := values["JAVA_VERSION"]
	if !isToken(version) || values["MODULES"] == "" && values["OS_ARCH"] == "" {
		return true, nil // something else's
	}
	evidence := "JAVA_VERSION"
	for _, key := range []string{"IMPLEMENTOR", "JAVA_RUNTIME_VERSION"} {
		if values[key] != "" {
			evidence += ", " + printable(values[key])
		}
	}
	f.addProved(Package{Type: "generic", Name: "openjdk", Version: version}, evidence)
	return true, nil
}

var erlangVersion = regexp.MustCompile(`^\d+(?:\.\d+)+(?:-rc\d+)?$`)
