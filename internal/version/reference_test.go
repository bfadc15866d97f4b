package version_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/version"
)

// reference is a program that knows an ecosystem's order: the ecosystem's own.
// It reads pairs, a line each with a tab between them, and writes for each
// whether the first is a version, whether the second is one (1 or 0), and their
// order (-1, 0 or 1), which means something only if both are.
type reference struct {
	name   string
	scheme version.Scheme
	// command finds the program; the error says what is missing.
	command func() (*exec.Cmd, error)
	// wanted is set where scripts/need.sh sees to the program.
	wanted bool
	// refuses is set where the program knows what a version is, as we do;
	// otherwise only the order of what we take for versions is compared.
	refuses bool
	// apart matches what only one of us takes for a version, with reason.
	apart *regexp.Regexp
	// rounds is set where the program takes long numbers for equal that are not.
	rounds bool
}

var (
	// RubyGems reads nothing as 0.
	blank = regexp.MustCompile(`^\s*$`)
	// Dates with two groups of digits after them are taken since composer/semver 3.4.
	twoGroups = regexp.MustCompile(`(?i)^\s*v?\d{4}([.:-]?\d{2}){1,6}([.:-]?\d{1,3}){2}`)
	// Of four numbers node cuts the third in two: 1.2.34.5 is 1.2.3-4.5 to it.
	fourNumbers = regexp.MustCompile(`^[v=\s]*\d+\.\d+\.\d{2,}\.`)
)

var references = []reference{
	{name: "dpkg", scheme: version.Deb, command: findDpkg, wanted: true, rounds: true},
	{name: "rpm", scheme: version.RPM, command: findRPM, wanted: true},
	{name: "packaging", scheme: version.PyPI, command: findPackaging, wanted: true, refuses: true},
	{name: "RubyGems", scheme: version.Gem, command: script("ruby", "gem.rb"), wanted: true, refuses: true, apart: blank},
	{name: "composer", scheme: version.Composer, command: findComposer, wanted: true, refuses: true, apart: twoGroups, rounds: true},
	{name: "node loose", scheme: version.NPM, command: findNode("loose"), refuses: true, apart: fourNumbers, rounds: true},
	{name: "node strict", scheme: version.Cargo, command: findNode("strict"), rounds: true},
	{name: "node strict", scheme: version.Golang, command: findNode("strict"), rounds: true},
	{name: "node strict", scheme: version.Hex, command: findNode("strict"), rounds: true},
	{name: "Elixir", scheme: version.Hex, command: script("elixir", "hex.exs"), refuses: true},
	{name: "Maven", scheme: version.Maven, command: findMaven},
}

// TestReferences has each ecosystem's own program judge random versions.
func TestReferences(t *testing.T) {
	for _, r := range references {
		t.Run(r.name+"/"+string(r.scheme), func(t *testing.T) {
			t.Parallel()
			pairs := corpora[r.scheme].pairs(rand.New(rand.NewPCG(1, 2)), 20_000)
			compared := 0
			for i, verdict := range r.judge(t, pairs) {
				compared += r.check(t, pairs[i][0], pairs[i][1], verdict)
			}
			t.Logf("%d of %d pairs had an order", compared, len(pairs))
			if compared < len(pairs)/8 {
				t.Errorf("only %d of %d pairs had an order: the corpus tells little", compared, len(pairs))
			}
		})
	}
}

// verdict is what a program says of a pair.
type verdict struct{ a, b, order int }

func (r reference) judge(t *testing.T, pairs [][2]string) []verdict {
	t.Helper()
	command, err := r.command()
	if err != nil {
		if r.wanted && os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("nothing to compare with: %v", err)
	}
	var in, out, problems bytes.Buffer
	for _, pair := range pairs {
		fmt.Fprintf(&in, "%s\t%s\n", pair[0], pair[1])
	}
	file := filepath.Join(t.TempDir(), "pairs")
	if err := os.WriteFile(file, in.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	command.Env = append(os.Environ(), "PRATIQUE_PAIRS="+file, "LC_ALL=C.UTF-8")
	command.Stdin, command.Stdout, command.Stderr = &in, &out, &problems
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %v\n%s", command.Args, err, problems.String())
	}
	lines := strings.Fields(out.String())
	if len(lines) != 3*len(pairs) {
		t.Fatalf("%v: %d words for %d pairs\n%s", command.Args, len(lines), len(pairs), problems.String())
	}
	verdicts := make([]verdict, len(pairs))
	for i := range verdicts {
		v := &verdicts[i]
		for j, number := range []*int{&v.a, &v.b, &v.order} {
			if *number, err = strconv.Atoi(lines[3*i+j]); err != nil {
				t.Fatalf("%v: %v", lines[3*i:3*i+3], err)
			}
		}
	}
	return verdicts
}

// check returns 1 if the orders of the pair could be compared.
func (r reference) check(t *testing.T, a, b string, v verdict) int {
	t.Helper()
	for text, theirs := range map[string]int{a: v.a, b: v.b} {
		_, err := version.Compare(r.scheme, text, text)
		if ours := err == nil; !r.refuses || ours == (theirs == 1) {
			continue
		}
		if r.apart == nil || !r.apart.MatchString(text) {
			t.Errorf("%q: a version to %s: %v, to us: %v", text, r.name, theirs == 1, err)
		}
	}
	got, err := version.Compare(r.scheme, a, b)
	if err != nil || v.a != 1 || v.b != 1 {
		return 0
	}
	if got != v.order && !(r.rounds && hasLongNumber(a) && hasLongNumber(b)) {
		t.Errorf("Compare(%q, %q) = %d, %s says %d", a, b, got, r.name, v.order)
	}
	return 1
}

// hasLongNumber reports whether the version has digits that a float or 64 bits cannot hold.
func hasLongNumber(v string) bool {
	run := 0
	for i := range len(v) {
		if run++; v[i] < '0' || v[i] > '9' {
			run = 0
		}
		if run >= len("9007199254740992") {
			return true
		}
	}
	return false
}

func script(program, name string, arguments ...string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		path, err := exec.LookPath(program)
		if err != nil {
			return nil, err
		}
		return exec.Command(path, append([]string{filepath.Join("testdata", "reference", name)}, arguments...)...), nil
	}
}

func findDpkg() (*exec.Cmd, error) {
	if err := exec.Command("perl", "-MDpkg::Version", "-e", "1").Run(); err != nil {
		return nil, fmt.Errorf("perl with Dpkg::Version: %w", err)
	}
	return script("perl", "deb.pl")()
}

func findRPM() (*exec.Cmd, error) {
	path, err := exec.LookPath("rpm")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join("testdata", "reference", "rpm.lua"))
	if err != nil {
		return nil, err
	}
	return exec.Command(path, "--eval", "%{lua: "+string(text)+"}"), nil
}

// findPackaging takes the Python that has the module: Debian's, if another one comes first.
func findPackaging() (*exec.Cmd, error) {
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import packaging.version").Run() == nil {
			return script(python, "pypi.py")()
		}
	}
	return nil, fmt.Errorf("no Python with the module packaging")
}

func findComposer() (*exec.Cmd, error) {
	const autoload = "/usr/share/php/Composer/Semver/autoload.php"
	if _, err := os.Stat(autoload); err != nil {
		return nil, err
	}
	return script("php", "composer.php", autoload)()
}

// findNode takes the semver that npm brings along.
func findNode(mode string) func() (*exec.Cmd, error) {
	return func() (*exec.Cmd, error) {
		npm, err := exec.LookPath("npm")
		if err != nil {
			return nil, err
		}
		if npm, err = filepath.EvalSymlinks(npm); err != nil {
			return nil, err
		}
		for _, folder := range []string{filepath.Join(npm, "..", "..", "node_modules", "semver"), "/usr/share/nodejs/semver"} {
			if _, err := os.Stat(folder); err == nil {
				return script("node", "npm.js", folder, mode)()
			}
		}
		return nil, fmt.Errorf("no semver beside %s", npm)
	}
}

// findMaven takes the libraries of an installed Maven, if they have the order of
// Maven 3.8.7 and later.
func findMaven() (*exec.Cmd, error) {
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return nil, err
	}
	if mvn, err = filepath.EvalSymlinks(mvn); err != nil {
		return nil, err
	}
	var path []string
	for _, name := range []string{"maven-artifact", "commons-lang3"} {
		found, err := filepath.Glob(filepath.Join(mvn, "..", "..", "lib", name+"*.jar"))
		if err == nil {
			path = append(path, found...)
		}
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, err
	}
	command := func() *exec.Cmd {
		return exec.Command(java, "-cp", strings.Join(path, string(os.PathListSeparator)), filepath.Join("testdata", "reference", "Maven.java"))
	}
	probe := command()
	probe.Stdin = strings.NewReader("2.9.0-1\t2.9.0.RC1\n")
	answer, err := probe.Output()
	if err != nil {
		return nil, fmt.Errorf("java with %s: %w", path, err)
	}
	if strings.TrimSpace(string(answer)) != "1 1 1" {
		return nil, fmt.Errorf("%s has the order of before Maven 3.8.7", path)
	}
	return command(), nil
}
