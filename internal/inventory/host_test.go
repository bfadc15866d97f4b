package inventory

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// hostLayer packs files of this machine as they would lie in a layer.
func hostLayer(t *testing.T, wanted func(path string) bool, roots ...string) []lt.Entry {
	t.Helper()
	var entries []lt.Entry
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || !wanted(path[1:]) {
				return nil // what is not there or not to be read is not packed
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			entries = append(entries, lt.File(path[1:], string(content)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return entries
}

// TestThisMachine compares with what dpkg and Python say of the machine that the
// test runs on: nothing is missing, nothing is invented.
func TestThisMachine(t *testing.T) {
	query, err := exec.LookPath("dpkg-query")
	if err != nil {
		t.Skip("this is no Debian: nothing to compare with")
	}
	entries := hostLayer(t, NewDpkg().Wants, "/var/lib/dpkg")
	entries = append(entries, hostLayer(t, NewPython(DetectorOptions{}).Wants, "/usr/lib/python3/dist-packages")...)
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		t.Fatal(err)
	}
	img, _ := coalesce(t, append(entries, lt.File("etc/os-release", string(release))))

	out, err := exec.CommandContext(t.Context(), query, "-W", "-f", "${db:Status-Status} ${Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for line := range strings.Lines(string(out)) {
		status, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if status != "config-files" && status != "not-installed" {
			want = append(want, rest)
		}
	}
	for _, p := range img.Packages {
		if p.Type == "deb" {
			got = append(got, fmt.Sprint(p.Name, " ", p.Version, " ", p.Architecture, " ", p.SourceName, " ", p.SourceVersion))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packages (-dpkg +got):\n%s", diff)
	}
	t.Logf("%d packages of dpkg", len(got))

	program := "/usr/bin/python3"
	if _, err := os.Stat(program); err != nil {
		t.Skip("Debian's Python is not installed")
	}
	out, err = exec.CommandContext(t.Context(), program, "-c", `import importlib.metadata
for d in importlib.metadata.distributions(path=["/usr/lib/python3/dist-packages"]): print(d.metadata["Name"], d.version)`).Output()
	if err != nil {
		t.Fatal(err)
	}
	want, got = nil, nil
	for line := range strings.Lines(string(out)) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		want = append(want, pythonName(name)+" "+version)
	}
	for _, p := range img.Packages {
		if p.Type == "pypi" {
			got = append(got, p.Name+" "+p.Version)
			if !strings.HasPrefix(p.Owner, "deb:") {
				t.Errorf("%s is owned by %q", p.Path, p.Owner)
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(slices.Compact(want), slices.Compact(got)); diff != "" {
		t.Errorf("distributions (-python +got):\n%s", diff)
	}
	t.Logf("%d distributions of Python", len(got))
}
