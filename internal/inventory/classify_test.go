package inventory

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// programOf is what passes for a program, with texts that end in NUL.
func programOf(texts ...string) string {
	return "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 300<<10) + "\x00" + strings.Join(texts, "\x00") + "\x00rest"
}

func TestClassify(t *testing.T) {
	tests := []struct {
		path string
		text []string
		want string // product and version, "" for none
	}{
		{"bin/bash", []string{"@(#)Bash version 5.2.15(1) release GNU"}, "bash 5.2.15"},
		{"bin/busybox", []string{"syslogd started: BusyBox v1.36.1"}, "busybox 1.36.1"},
		{"bin/[", []string{"BusyBox v1.36.1 (2024-01-01)"}, "busybox 1.36.1"},
		{"bin/[", []string{"coreutils"}, ""},
		{"bin/sh", []string{"BusyBox v1.36.1 (2024-01-01)"}, ""},
		{"usr/local/bin/curl", []string{"curl %s", "curl 8.5.0 (x86_64-pc-linux-musl) %s"}, "curl 8.5.0"},
		{"usr/local/lib/libcurl.so.4.8.0", []string{"CLIENT libcurl 8.5.0", "libcurl/8.5.0"}, "curl 8.5.0"},
		{"usr/local/bin/git", []string{"share/doc/git/html", "git/2.43.0"}, "git 2.43.0"},
		{"usr/local/sbin/haproxy", []string{"since HAProxy version 2.5.", " version 2.9.1-f72603c, released 2023/12/15"}, "haproxy 2.9.1"},
		{"usr/local/sbin/haproxy", []string{" version 3.0-dev1, released 2024/01/06"}, "haproxy 3.0-dev1"},
		{"usr/local/apache2/bin/httpd", []string{"Apache/2.4", "Apache/2.4.58 (Unix)"}, "httpd 2.4.58"},
		{"usr/sbin/mariadbd", []string{"for example 10.1.1-MariaDB-mariadb1precise-log.", "11.2.2-MariaDB-1:11.2.2+maria~ubu2204", "11.2.2-MariaDB-log"}, "mariadb 11.2.2"},
		{"usr/sbin/mysqld", []string{"/build/mysql-8.2.0/sql/handler.cc"}, "mysql 8.2.0"},
		{"usr/local/bin/memcached", []string{"print memcached and libevent license", "memcached 1.6.22"}, "memcached 1.6.22"},
		{"usr/sbin/nginx", []string{"nginx/1.25.3", "nginx version: nginx/1.25.3"}, "nginx 1.25.3"},
		{"usr/sbin/nginx", []string{"nginx version: openresty/1.21.4.1"}, ""},
		{"usr/local/bin/node", []string{"node.js/v20.10.0"}, "node 20.10.0"},
		{"usr/local/bin/openssl", []string{"OpenSSL 3.2.0 23 Nov 2023"}, "openssl 3.2.0"},
		{"usr/local/lib/libssl.so.1.1", []string{"OpenSSL 1.1.1w  11 Sep 2023"}, "openssl 1.1.1w"},
		{"usr/local/lib64/libcrypto.so.3", []string{"OpenSSL 3.3.0-alpha1 1 Mar 2024"}, "openssl 3.3.0-alpha1"},
		{"usr/local/lib/libcrypto.so.3", []string{"OPENSSL_3.0.0", "OpenSSL 3.2.0 or so"}, ""},
		{"usr/local/bin/perl5.38.2", []string{"below v5.11 is deprecated", "v5.38.2"}, "perl 5.38.2"},
		{"usr/local/sbin/php-fpm", []string{"X-Powered-By: PHP/8.3.1"}, "php 8.3.1"},
		{"usr/local/bin/php8.3", []string{"X-Powered-By: PHP/8.3.1"}, "php 8.3.1"},
		{"usr/lib/postgresql/16/bin/postgres", []string{"postgres (PostgreSQL) 16.1 (Debian 16.1-1.pgdg120+1)"}, "postgresql 16.1"},
		{"usr/lib/postgresql/17/bin/postgres", []string{"postgres (PostgreSQL) 17beta1"}, "postgresql 17beta1"},
		{"usr/local/bin/python3.12", []string{"3.12.1"}, "python 3.12.1"},
		{"usr/local/lib/libpython3.13.so.1.0", []string{"3.13", "3.13.0rc2"}, "python 3.13.0rc2"},
		{"usr/bin/python2.7", []string{"2.7.18+"}, "python 2.7.18"},
		{"usr/local/bin/redis-server", []string{"7.0.0", "5.1.0", "7.2.4", "7.2.4buildkitsandbox-17048123450000000", "Redis version=%s"}, "redis 7.2.4"},
		{"usr/local/bin/valkey-server", []string{"8.0.1", "7.0.0", "8.0.11790282056000000000"}, "valkey 8.0.1"},
		{"usr/local/bin/redis-server", []string{"7.0.0", "7.0.3"}, ""},
		{"usr/local/bin/ruby", []string{"ruby 3.2.2p53 (2023-03-30 revision e51014f9c0) [x86_64-linux]"}, "ruby 3.2.2"},
		{"usr/local/lib/libruby.so.3.4.1", []string{"ruby 3.4.1 (2024-12-25 revision 48d4efcb85) +PRISM [x86_64-linux]"}, "ruby 3.4.1"},
		{"usr/local/lib/libsqlite3.so.0.8.6", []string{"2023-11-01 11:23:50 17129ba1ff7f0daf37100ee82d507aef7827cf38de1866e2633096ae6ad81301", "3.44.0"}, "sqlite 3.44.0"},
		{"lib/libz.so.1.3", []string{" deflate 1.3 Copyright 1995-2023 Jean-loup Gailly and Mark Adler "}, "zlib 1.3"},
		{"lib/libz.so.1.3.1", []string{" deflate 1.3.1 Copyright 1995-2024 Jean-loup Gailly and Mark Adler "}, "zlib 1.3.1"},
		{"usr/bin/unknown", []string{"nginx version: nginx/1.25.3", "3.12.1", "OpenSSL 3.2.0 23 Nov 2023"}, ""},
	}
	for _, test := range tests {
		content := programOf(test.text...)
		f, warnings, err := NewBinary().Detect(test.path, NewContent(strings.NewReader(content), int64(len(content))))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v, %v", test.path, warnings, err)
		}
		got := ""
		for _, r := range f.Packages {
			got += r.Name + " " + r.Version
			if r.Type != "generic" || !strings.Contains(r.Evidence, strings.Split(r.Version, "-")[0]) {
				t.Errorf("%s: %s by %q", test.path, r.Type, r.Evidence)
			}
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
	// The text lies across two parts of what is looked at.
	for shift := range 200 {
		content := "\x7fELF" + strings.Repeat("x", 256<<10-100-shift) + "BusyBox v1.36.1 ("
		f, _, err := NewBinary().Detect("bin/busybox", NewContent(strings.NewReader(content), int64(len(content))))
		if err != nil || len(f.Packages) != 1 {
			t.Fatalf("shifted by %d: %v, %v", shift, f.Packages, err)
		}
	}
}

func TestReleaseOf(t *testing.T) {
	tests := []struct{ path, content, want string }{
		{"opt/java/openjdk/release", "IMPLEMENTOR=\"Eclipse Adoptium\"\nJAVA_RUNTIME_VERSION=\"21.0.1+12-LTS\"\nJAVA_VERSION=\"21.0.1\"\nMODULES=\"java.base\"\n", "openjdk 21.0.1 by JAVA_VERSION, Eclipse Adoptium, 21.0.1+12-LTS"},
		{"usr/lib/jvm/jre/release", "JAVA_VERSION=\"1.8.0_392\"\nOS_NAME=\"Linux\"\nOS_ARCH=\"amd64\"\n", "openjdk 1.8.0_392 by JAVA_VERSION"},
		{"app/release", "JAVA_VERSION=17\n", ""},
		{"app/release", "v1.2.3\n", ""},
		{"usr/lib/erlang/releases/26/OTP_VERSION", "26.2.1\n", "erlang 26.2.1 by "},
		{"usr/lib/erlang/releases/26/OTP_VERSION", "no version\n", ""},
	}
	for _, test := range tests {
		f, warnings, err := NewBinary().Detect(test.path, contentOf(strings.NewReader(test.content)))
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v, %v", test.path, warnings, err)
		}
		got := ""
		for _, r := range f.Packages {
			got += r.Name + " " + r.Version + " by " + r.Evidence
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", test.path, got, test.want)
		}
	}
}

// Programs that a package brought are that package; hard links are one program.
func TestClassifiedInLayers(t *testing.T) {
	busybox, ssl := programOf("BusyBox v1.36.1 ("), programOf("OpenSSL 3.2.0 23 Nov 2023")
	db := "P:busybox\nV:1-r0\nA:x\no:busybox\nF:bin\nR:busybox\n\nP:libcrypto3\nV:3-r0\nA:x\no:openssl\nF:usr/lib\nR:libcrypto.so.3\n\n"
	tests := []struct {
		name   string
		layers [][]lt.Entry
		want   []string
	}{
		{"of packages", [][]lt.Entry{{lt.File("lib/apk/db/installed", db), lt.File("bin/busybox", busybox), lt.File("lib/libcrypto.so.3", ssl)}}, nil},
		{"of none", [][]lt.Entry{{lt.File("lib/apk/db/installed", db), lt.File("bin/busybox", busybox), lt.File("usr/local/lib/libcrypto.so.3", ssl)}},
			[]string{"generic openssl=3.2.0 usr/local/lib/libcrypto.so.3"}},
		{"put in the place of a package's", [][]lt.Entry{{lt.File("bin/busybox", busybox)}, {lt.File("lib/apk/db/installed", db)}}, nil},
		{"names of one program", [][]lt.Entry{{lt.File("bin/[", busybox), lt.Hardlink("bin/ash", "bin/["), lt.Hardlink("bin/busybox", "bin/["), lt.Hardlink("bin/cat", "bin/[")}},
			[]string{"generic busybox=1.36.1 bin/[", "generic busybox=1.36.1 bin/busybox"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, _ := coalesce(t, test.layers...)
			if diff := cmp.Diff(test.want, described(img)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

// upstream is the version that Debian's is made of.
func upstream(version string) string {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	if _, rest, ok := strings.Cut(version, "really"); ok {
		version = rest
	}
	if i := strings.LastIndexByte(version, '-'); i > 0 {
		version = version[:i]
	}
	return regexp.MustCompile(`[+~].*$|\.dfsg.*$`).ReplaceAllString(version, "")
}

// sameVersion compares a program with the package of Debian that it is from.
func sameVersion(t *testing.T, known map[string]int, at string, r Record, owner, version string) {
	t.Helper()
	by := map[string]string{"httpd": "apache2"}[r.Name]
	if by == "" {
		by = r.Name
	}
	if r.Type != "generic" || !strings.Contains(owner, by) {
		return // what is part of another's package has a version of its own
	}
	known[r.Name]++
	if upstream := upstream(version); upstream != r.Version && !strings.HasPrefix(upstream, r.Version+".") {
		t.Errorf("%s: %s %s by %s, of %s %s", at, r.Name, r.Version, r.Evidence, owner, version)
	}
}

// TestClassifyThisMachine compares the programs of a Debian with the packages that
// they are from: each that is known says the version of its package.
func TestClassifyThisMachine(t *testing.T) {
	if testing.Short() {
		t.Skip("looks through all programs of the machine")
	}
	const root = "/"
	owner := make(map[string]string) // of paths
	lists, err := filepath.Glob(filepath.Join(root, "var/lib/dpkg/info/*.list"))
	if err != nil || len(lists) == 0 {
		t.Skipf("no packages of dpkg in %s", root)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(list), ".list"), ":")
		for line := range strings.Lines(string(text)) {
			owner[merged(strings.TrimPrefix(strings.TrimSpace(line), "/"))] = name
		}
	}
	out, err := exec.CommandContext(t.Context(), "dpkg-query", "--admindir="+filepath.Join(root, "var/lib/dpkg"), "-W", "-f", "${Package} ${Version}\n").Output()
	if err != nil {
		t.Skipf("dpkg-query: %v", err)
	}
	versions := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		versions[name] = version
	}
	known := make(map[string]int)
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "bin"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(name string, entry fs.DirEntry, err error) error {
			at := strings.TrimPrefix(strings.TrimPrefix(name, root), "/")
			base := filepath.Base(name)
			candidate := base == "release" || base == "OTP_VERSION"
			for _, c := range classifiers {
				candidate = candidate || c.file.MatchString(base)
			}
			if err != nil || !entry.Type().IsRegular() || !candidate || owner[merged(at)] == "" {
				return nil
			}
			content, err := os.ReadFile(name)
			if err != nil {
				return nil
			}
			f, _, err := NewBinary().Detect(at, NewContent(bytes.NewReader(content), int64(len(content))))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range f.Packages {
				sameVersion(t, known, at, r, owner[merged(at)], versions[owner[merged(at)]])
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("known: %v", known)
}
