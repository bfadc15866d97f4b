package inventory

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory/rpmdb"
	"github.com/pratique/pratique/internal/realdata"
)

func TestRpmPackages(t *testing.T) {
	tests := []struct {
		name string
		in   rpmdb.Package
		want string
	}{
		{"plain", rpmdb.Package{Name: "bash", Version: "5.1", Release: "1.el9", Arch: "x86_64", SourceRPM: "bash-5.1-1.el9.src.rpm"},
			"rpm bash 5.1-1.el9 x86_64, source bash 5.1-1.el9"},
		{"epoch, other source", rpmdb.Package{Name: "perl-libs", Version: "5.32", Release: "2", Epoch: 4, HasEpoch: true, Arch: "x86_64", SourceRPM: "perl-5.32.1-2.src.rpm"},
			"rpm perl-libs 4:5.32-2 x86_64, source perl 4:5.32.1-2"},
		{"epoch 0", rpmdb.Package{Name: "a", Version: "1", Release: "1", HasEpoch: true}, "rpm a 1-1 , source a 1-1"},
		{"no source", rpmdb.Package{Name: "a", Version: "1", Release: "1", SourceRPM: "(none)"}, "rpm a 1-1 , source a 1-1"},
		{"of a module", rpmdb.Package{Name: "nodejs", Version: "18", Release: "1", ModularityLabel: "nodejs:18:8080020230921:abc"}, "rpm nodejs 18-1 , source nodejs 18-1, module nodejs:18"},
		{"of a module, without a context", rpmdb.Package{Name: "a", Version: "1", Release: "1", ModularityLabel: "perl:5.26"}, "rpm a 1-1 , source a 1-1, module perl:5.26"},
		{"of no module", rpmdb.Package{Name: "a", Version: "1", Release: "1", ModularityLabel: "perl"}, `malformed: header 0: package "a": "perl" is no label of a module`},
		{"bad name", rpmdb.Package{Name: "a b", Version: "1", Release: "1"}, "malformed"},
	}
	for _, test := range tests {
		found := newFindings("var/lib/rpm/Packages", "rpm")
		found.rpm(&test.in)
		f, warnings, _ := found.result(nil)
		if got := describe(f, warnings); !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestRpmDatabases(t *testing.T) {
	for content, want := range map[string]string{"": "", "no database": "malformed: no package database of RPM\n"} {
		f, warnings, err := NewRpm().Detect("var/lib/rpm/Packages", contentOf(strings.NewReader(content)))
		if err != nil || describe(f, warnings) != want {
			t.Errorf("%q: %v, %v, %v", content, f, warnings, err)
		}
	}
	for content, want := range map[string]int{"": 0, "log": 1} {
		if _, warnings, err := NewRpm().Detect("var/lib/rpm/rpmdb.sqlite-wal", contentOf(strings.NewReader(content))); err != nil || len(warnings) != want {
			t.Errorf("log %q: %v, %v", content, warnings, err)
		}
	}
	root := realdata.Root(t)
	content, err := os.ReadFile(filepath.Join(root, "rpmdb", "cbl-mariner-2.0", "rpmdb.sqlite"))
	if err != nil {
		t.Skipf("no real database: %v", err)
	}
	f, warnings, err := NewRpm().Detect("var/lib/rpm/rpmdb.sqlite", contentOf(bytes.NewReader(content)))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	i := slices.IndexFunc(f.Packages, func(r Record) bool { return r.Name == "curl" || r.Name == "libssh2" })
	if i < 0 || !strings.Contains(f.Packages[i].Evidence, "vendor Microsoft Corporation") || len(f.Packages) < 120 || len(f.Claims) == 0 {
		t.Errorf("%d packages, %d claims", len(f.Packages), len(f.Claims))
	}
}

// TestRpmAsRPMSays has RPM build and install packages, one of them of a module, and
// compares with what it says is installed.
func TestRpmAsRPMSays(t *testing.T) {
	for _, tool := range []string{"rpm", "rpmbuild"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("there is no %s: nothing to compare with", tool)
		}
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Env = append(os.Environ(), "HOME="+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, &stderr)
		}
		return string(out)
	}
	for name, more := range map[string]string{
		"nodejs": "Epoch: 1\nModularityLabel: nodejs:18:8080020230921:abc", "plain": "", "perl-libs": "Epoch: 4\nModularityLabel: perl:5.26",
	} {
		spec := filepath.Join(dir, name+".spec")
		text := "Name: " + name + "\nVersion: 18.2~rc1\nRelease: 3.el8\nSummary: x\nLicense: MIT\nBuildArch: noarch\n" + more + "\n%description\nx\n%files\n"
		if err := os.WriteFile(spec, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		run("rpmbuild", "-bb", "--define", "_topdir "+dir, spec)
	}
	built, err := filepath.Glob(filepath.Join(dir, "RPMS", "noarch", "*.rpm"))
	if err != nil || len(built) != 3 {
		t.Fatalf("built %q, %v", built, err)
	}
	db := filepath.Join(dir, "db")
	run("rpm", append([]string{"--dbpath", db, "--define", "_db_backend sqlite", "-i", "--justdb", "--nodeps", "--nosignature", "--ignorearch", "--force-debian"}, built...)...)
	want := strings.Split(strings.TrimSpace(run("rpm", "--dbpath", db, "--define", "_db_backend sqlite", "-qa", "--qf", `%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH} %{MODULARITYLABEL}\n`)), "\n")
	for i, line := range want {
		words := strings.Fields(line)
		if words[3] = ""; strings.Contains(line, ":5.26") || strings.Contains(line, "nodejs:") {
			parts := strings.Split(strings.Fields(line)[3], ":")
			words[3] = parts[0] + ":" + parts[1]
		}
		want[i] = strings.Join(words, " ")
	}
	content, err := os.ReadFile(filepath.Join(db, "rpmdb.sqlite"))
	if err != nil {
		t.Fatal(err)
	}
	f, warnings, err := NewRpm().Detect("var/lib/rpm/rpmdb.sqlite", contentOf(bytes.NewReader(content)))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v, %v", warnings, err)
	}
	var got []string
	for _, r := range f.Packages {
		got = append(got, r.Name+" "+r.Version+" "+r.Architecture+" "+r.Module)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 3 {
		t.Errorf("packages (-rpm +got):\n%s", diff)
	}
}
