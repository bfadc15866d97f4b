package inventory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
)

// listed are the packages of a type that an image has, each once, sorted.
func listed(img Image, kind string, format func(Installed) string) []string {
	var out []string
	for _, p := range img.Packages {
		if p.Type == kind {
			out = append(out, format(p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func nameVersion(p Installed) string { return p.Name + " " + p.Version }

// TestNpmTree installs packages with npm and compares with what it lists.
func TestNpmTree(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil || testing.Short() {
		t.Skip("there is no npm, or time is short: nothing to compare with")
	}
	dir := t.TempDir()
	// Scoped ones, a deep tree, versions side by side, and one with bundled packages.
	manifest := `{"name": "app", "version": "1.0.0", "dependencies": {"express": "4.18.2", "@npmcli/fs": "3.1.0", "semver": "5.7.2", "mkdirp": "0.5.6", "debug": "4.3.4"}}`
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--fetch-timeout=20000")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install, most likely for want of the registry: %v\n%s", err, out)
	}
	list := exec.CommandContext(t.Context(), npm, "ls", "--all", "--json")
	list.Dir = dir
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	type node struct {
		Version      string          `json:"version"`
		Dependencies map[string]node `json:"dependencies"`
	}
	var root node
	if err := json.Unmarshal(out, &root); err != nil {
		t.Fatal(err)
	}
	var want []string
	var walk func(node)
	walk = func(n node) {
		for name, d := range n.Dependencies {
			want = append(want, name+" "+d.Version)
			walk(d)
		}
	}
	walk(root)
	slices.Sort(want)
	want = slices.Compact(want)

	packed := tarOf(t, dir)
	img := analysed(t, packed)
	got := listed(img, "npm", nameVersion)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 60 {
		t.Errorf("%d packages (-npm +got):\n%s", len(got), diff)
	}
	if others := len(img.Packages) - len(listed(img, "npm", func(p Installed) string { return p.Path })); others != 0 {
		t.Errorf("%d more packages: %v", others, img.Packages)
	}
	t.Logf("%d packages of npm", len(got))
}

// tarOf packs a folder as a layer.
func tarOf(t *testing.T, dir string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-c", ".").Output()
	if err != nil {
		t.Fatalf("tar: %v", err)
	}
	return out
}

func analysed(t *testing.T, packed []byte) Image {
	t.Helper()
	l, err := Analyse(t.Context(), bytes.NewReader(packed), "", Detectors(), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return Coalesce([]*Layer{l})
}

// debianPackages are what a root file system of Debian is made with, for its
// packages of several languages.
const debianPackages = "python3,python3-requests,python3-yaml,ruby,ruby-rack,rake,nodejs,node-semver,default-jre-headless,libcommons-io-java,liblog4j2-java," +
	"busybox,openssl,redis-server,nginx-light,memcached,git,curl,sqlite3,php-cli"

// debianTruth is what the system says of itself, by the name of a file that is kept.
var debianTruth = map[string]string{
	"dpkg":   `dpkg-query -W -f '${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n'`,
	"python": `python3 -c 'import importlib.metadata as m` + "\n" + `for d in m.distributions(): print(d.metadata["Name"], d.version)'`,
	"gem":    `gem list --local --quiet`,
	"jars":   `find / -xdev -type f -name '*.jar' -size +0 | sort`,
}

// debianRoot makes a root file system of Debian, once: it is kept in the user's
// cache with what it says of itself.
func debianRoot(t *testing.T) (packed string, truth map[string]string) {
	t.Helper()
	debootstrap, err := exec.LookPath("debootstrap")
	if err != nil || os.Getuid() != 0 {
		t.Skip("there is no debootstrap, or this is not root: no Debian to compare with")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no folder to keep a Debian in: %v", err)
	}
	// Another list makes another one.
	dir := filepath.Join(cache, "pratique-test", fmt.Sprintf("debian-%x", sha256.Sum256([]byte(debianPackages)))[:20])
	packed = filepath.Join(dir, "root.tar.gz")
	if _, err := os.Stat(packed); err != nil {
		makeDebian(t, debootstrap, dir)
	}
	truth = make(map[string]string)
	for name := range debianTruth {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		truth[name] = string(text)
	}
	return packed, truth
}

func makeDebian(t *testing.T, debootstrap, dir string) {
	t.Helper()
	if testing.Short() {
		t.Skip("a Debian is to be made, and time is short")
	}
	root := filepath.Join(t.TempDir(), "root")
	ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute)
	defer cancel()
	run := func(name string, args ...string) []byte {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.WaitDelay = 10 * time.Second
		cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				out = append(out, exit.Stderr...)
			}
			t.Skipf("no Debian to compare with: %s: %v\n%s", name, err, out[max(0, len(out)-500):])
		}
		return out
	}
	// What it mounts goes with it, however it ends.
	run("unshare", "--mount", debootstrap, "--variant=minbase", "--include="+debianPackages, "bookworm", root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, command := range debianTruth {
		if err := os.WriteFile(filepath.Join(dir, name), run("chroot", root, "sh", "-c", command), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	part := filepath.Join(dir, "root.part")
	run("sh", "-c", `rm -rf "$0"/var/cache/apt/archives/*.deb "$0"/var/lib/apt/lists/* && tar -C "$0" --one-file-system --numeric-owner -c . | gzip -1 >"$1"`, root, part)
	if err := os.Rename(part, filepath.Join(dir, "root.tar.gz")); err != nil {
		t.Fatal(err)
	}
}

// TestDebianRoot compares a Debian with packages of several languages with what its
// own tools say, one by one.
func TestDebianRoot(t *testing.T) {
	packed, truth := debianRoot(t)
	file, err := os.Open(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l, err := Analyse(t.Context(), bufio.NewReader(file), "", Detectors(), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	img := Coalesce([]*Layer{l})
	compare := func(what string, want, got []string) {
		t.Helper()
		slices.Sort(want)
		if diff := cmp.Diff(slices.Compact(want), got); diff != "" || len(got) == 0 {
			t.Errorf("%s (-theirs +got):\n%s", what, diff)
		}
		t.Logf("%s: %d", what, len(got))
	}
	var want []string
	for line := range strings.Lines(truth["dpkg"]) {
		if status, rest, _ := strings.Cut(strings.TrimSpace(line), " "); status != "config-files" && status != "not-installed" {
			want = append(want, rest)
		}
	}
	compare("packages of dpkg", want, listed(img, "deb", func(p Installed) string {
		return fmt.Sprint(p.Name, " ", p.Version, " ", p.Architecture, " ", p.SourceName, " ", p.SourceVersion)
	}))

	want = nil
	for line := range strings.Lines(truth["python"]) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		want = append(want, pythonName(name)+" "+version)
	}
	compare("distributions of Python", want, listed(img, "pypi", nameVersion))

	want = nil
	for line := range strings.Lines(truth["gem"]) {
		// rake (default: 13.0.6, 13.0.3)
		name, versions, ok := strings.Cut(strings.TrimSpace(line), " (")
		for version := range strings.SplitSeq(strings.TrimSuffix(versions, ")"), ", ") {
			if ok {
				want = append(want, name+" "+strings.TrimPrefix(version, "default: "))
			}
		}
	}
	compare("gems", want, listed(img, "gem", nameVersion))

	found := make(map[string]bool)
	for _, p := range img.Packages {
		found[p.Path] = true
		if !OfSystem(p.Type) && !strings.HasPrefix(p.Owner, "deb:") {
			t.Errorf("%s %s %s, %s: nobody owns it, but all is Debian's", p.Type, p.Name, p.Version, p.Path)
		}
	}
	versions, o, known := make(map[string]string), newOverlay(), make(map[string]int)
	for _, p := range img.Packages {
		versions[p.Type+":"+p.Name] = p.Version
	}
	o.add(l, 0)
	owners := o.owners()
	for _, f := range l.Files {
		for _, r := range f.Packages {
			owner := owners[merged(f.Path)]
			sameVersion(t, known, f.Path, r, owner, versions[owner])
		}
	}
	t.Logf("programs: %v", known)
	for _, product := range []string{"bash", "busybox", "curl", "git", "memcached", "nginx", "node", "openjdk", "openssl", "perl", "php", "python", "redis", "ruby", "sqlite", "zlib"} {
		if known[product] == 0 {
			t.Errorf("%s is not known", product)
		}
	}

	jars, unknown := 0, 0
	for line := range strings.Lines(truth["jars"]) {
		jars++
		if p := strings.TrimPrefix(strings.TrimSpace(line), "/"); !found[p] {
			unknown++
			t.Logf("%s says nothing of itself", p)
		}
	}
	if jars < 5 || unknown > jars/2 {
		t.Errorf("of %d archives of Java, %d are not known", jars, unknown)
	}
	if img.Distribution.String() != "debian:12" || img.Coverage() != Complete {
		t.Errorf("distribution %s, coverage %s: %v", img.Distribution, img.Coverage(), img.Warnings)
	}
}
