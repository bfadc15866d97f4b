package inventory

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// goProgram builds a program with a dependency that is replaced. Settings are
// variables of the environment; the others are flags.
func goProgram(t testing.TB, flags ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":     "module example.com/app\n\ngo 1.24\n\nrequire example.com/dep v1.2.3\n\nreplace example.com/dep => ./dep\n",
		"main.go":    "package main\n\nimport \"example.com/dep\"\n\nfunc main() { dep.Say() }\n",
		"dep/go.mod": "module example.com/dep\n\ngo 1.24\n",
		"dep/dep.go": "package dep\n\nfunc Say() { println(\"hello\") }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(env []string, name string, args ...string) {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	env, args := []string{"CGO_ENABLED=0", "GOOS=linux", "GOFLAGS=-mod=mod"}, []string{"build", "-o", "app"}
	for _, f := range flags {
		if !strings.HasPrefix(f, "-") {
			env = append(env, f)
			continue
		}
		if args = append(args, f); f == "-buildvcs=true" {
			git := []string{"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com",
				"GIT_AUTHOR_DATE=2024-05-06T07:08:09Z", "GIT_COMMITTER_DATE=2024-05-06T07:08:09Z", "GIT_CONFIG_GLOBAL=/dev/null"}
			run(git, "git", "init", "-q")
			run(git, "git", "add", ".")
			run(git, "git", "commit", "-q", "-m", "x")
		}
	}
	run(env, "go", append(args, ".")...)
	content, err := os.ReadFile(filepath.Join(dir, "app"))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// rustProgram is an ELF file with the section that cargo-auditable adds.
func rustProgram(t testing.TB, audit string) []byte {
	t.Helper()
	var section bytes.Buffer
	z := zlib.NewWriter(&section)
	if _, err := z.Write([]byte(audit)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	names := "\x00.dep-v0\x00.shstrtab\x00"
	const at = 64
	le := binary.LittleEndian
	out := make([]byte, at)
	copy(out, "\x7fELF\x02\x01\x01")
	le.PutUint16(out[16:], 2)
	le.PutUint16(out[18:], 62)
	le.PutUint32(out[20:], 1)
	out = append(append(out, section.Bytes()...), names...)
	le.PutUint64(out[40:], uint64(len(out)))
	le.PutUint16(out[52:], 64)
	le.PutUint16(out[58:], 64)
	le.PutUint16(out[60:], 3)
	le.PutUint16(out[62:], 2)
	for _, s := range []struct{ name, kind, offset, size int }{{}, {1, 1, at, section.Len()}, {9, 3, at + section.Len(), len(names)}} {
		h := make([]byte, 64)
		le.PutUint32(h, uint32(s.name))
		le.PutUint32(h[4:], uint32(s.kind))
		le.PutUint64(h[24:], uint64(s.offset))
		le.PutUint64(h[32:], uint64(s.size))
		out = append(out, h...)
	}
	return out
}

func TestBinary(t *testing.T) {
	program := goProgram(t, "-ldflags=-s -w")
	packed := bytes.Clone(program)
	copy(packed[200:], "UPX!")
	tests := []struct {
		name, want string
		content    []byte
	}{
		{"a Go program", "0: golang stdlib " + strings.TrimPrefix(runtime.Version(), "go") + " , source  \n" +
			"0: golang example.com/app devel , source  \n0: golang example.com/dep devel , source  \n", program},
		{"a packed program", "unsupported: the program is packed with UPX: what is in it cannot be told\n", packed},
		{"a Rust program that can be audited", "0: cargo app 0.1.0 , source  \n0: cargo serde 1.0.200 , source  \n",
			rustProgram(t, `{"packages":[{"name":"app","version":"0.1.0","root":true},{"name":"cc","version":"1","kind":"build"},{"name":"serde","version":"1.0.200"}]}`)},
		{"a Rust program with a damaged section", "malformed: the section .dep-v0 is damaged: unexpected end of JSON input\n", rustProgram(t, `{"packages":[`)},
		{"a program of another language", "", []byte("\x7fELF" + strings.Repeat("x", 1000))},
		{"a text", "", []byte("#!/bin/sh\n")},
		{"nothing", "", nil},
	}
	for _, test := range tests {
		f, warnings, err := NewBinary().Detect("app", NewContent(bytes.NewReader(test.content), int64(len(test.content))))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, describe(f, warnings)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	// Whatever is cut off, it is a program of Go with all of it, or none.
	for cut := 0; cut < len(program); cut += len(program) / 50 {
		f, _, err := NewBinary().Detect("app", contentOf(bytes.NewReader(program[:cut])))
		if err != nil || len(f.Packages) != 0 && len(f.Packages) != 3 {
			t.Errorf("cut at %d: %v, %v", cut, f.Packages, err)
		}
	}
}

// TestGoPrograms compares programs of several builds with what Go says of them.
func TestGoPrograms(t *testing.T) {
	builds := map[string][]string{
		"plain":          nil,
		"stripped":       {"-ldflags=-s -w"},
		"trimmed paths":  {"-trimpath"},
		"of a commit":    {"-buildvcs=true"},
		"position free":  {"-buildmode=pie"},
		"for Windows":    {"GOOS=windows"},
		"for macOS":      {"GOOS=darwin", "GOARCH=arm64"},
		"a library of C": {"CGO_ENABLED=1", "-buildmode=c-shared"},
	}
	for name, flags := range builds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && (strings.HasPrefix(name, "for ") || len(flags) == 2) {
				t.Skip("builds the standard library")
			}
			for tool, flag := range map[string]string{"gcc": "-buildmode=c-shared", "git": "-buildvcs=true"} {
				if _, err := exec.LookPath(tool); err != nil && slices.Contains(flags, flag) {
					t.Skipf("there is no %s", tool)
				}
			}
			content := goProgram(t, flags...)
			file := filepath.Join(t.TempDir(), "app")
			if err := os.WriteFile(file, content, 0o755); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "go", "version", "-m", file).Output()
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(string(out), "\n")
			want := []string{"stdlib " + strings.TrimPrefix(strings.Fields(lines[0])[1], "go")}
			revision := ""
			for i, line := range lines {
				words := strings.Fields(line)
				switch {
				case len(words) < 2:
				case words[0] == "mod" || words[0] == "dep":
					version := words[2]
					if version == "(devel)" || i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t=>") {
						version = "devel"
					}
					want = append(want, words[1]+" "+version)
				case words[0] == "build" && strings.HasPrefix(words[1], "vcs.revision="):
					revision = strings.TrimPrefix(words[1], "vcs.revision=")
				}
			}
			detect := func(content []byte) (File, []Warning) {
				f, warnings, err := NewBinary().Detect("app", NewContent(bytes.NewReader(content), int64(len(content))))
				if err != nil {
					t.Fatal(err)
				}
				return f, warnings
			}
			f, warnings := detect(content)
			var got []string
			for _, r := range f.Packages {
				got = append(got, r.Name+" "+r.Version)
				if r.Evidence == "" || revision != "" && r.Name == "example.com/app" && !strings.Contains(r.Evidence, "revision "+revision+" of 2024-05-06T07:08:09Z") {
					t.Errorf("%s by %q", r.Name, r.Evidence)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || len(warnings) > 0 {
				t.Errorf("warnings %v (-go +got):\n%s", warnings, diff)
			}
			if strings.Contains(name, "commit") && revision == "" {
				t.Error("the commit is not in the program")
			}
			// What it was built of is taken away.
			content = bytes.ReplaceAll(content, []byte("\xff Go buildinf:"), make([]byte, 14))
			if f, warnings := detect(content); len(f.Packages) > 0 || len(warnings) != 1 || warnings[0].Code != Unsupported {
				t.Errorf("without its information: %v, %v", f.Packages, warnings)
			}
			if !bytes.HasPrefix(content, []byte("\x7fELF")) || content[5] != 1 {
				return
			}
			// And the names of the sections, too: the note is left.
			for i := 40; i < 48; i++ {
				content[i] = 0
			}
			for i := 58; i < 64; i++ {
				content[i] = 0
			}
			if f, warnings := detect(content); len(f.Packages) > 0 || len(warnings) != 1 {
				t.Errorf("without sections: %v, %v", f.Packages, warnings)
			}
		})
	}
}

func FuzzBinary(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add(rustProgram(f, `{"packages":[{"name":"app","version":"0.1.0"}]}`))
	f.Add([]byte("MZ\x90\x00"))
	f.Add(append([]byte("\x7fELF\x02\x01\x01\x00"), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, _, err := NewBinary().Detect("app", contentOf(bytes.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range file.Packages {
			if !isToken(p.Name) || !isToken(p.Version) {
				t.Errorf("package %q %q", p.Name, p.Version)
			}
		}
	})
}

// Larger files than are kept in memory go through a temporary file.
func TestContentSpools(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), (memoryMost+1<<20)/16)
	var s spool
	for _, content := range [][]byte{[]byte("small"), big, big[:len(big)-5], []byte("small again"), nil} {
		c := &Content{r: bytes.NewReader(content), spool: &s}
		if head, err := c.Head(4); err != nil || !bytes.Equal(head, content[:min(4, len(content))]) {
			t.Fatalf("head %q, %v", head, err)
		}
		at, size, err := c.ReaderAt()
		if err != nil || size != int64(len(content)) {
			t.Fatalf("%d of %d bytes, %v", size, len(content), err)
		}
		got := make([]byte, len(content))
		if n, err := at.ReadAt(got, 0); n != len(content) || !bytes.Equal(got, content) {
			t.Errorf("%d of %d bytes are the same, %v", n, len(content), err)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}
