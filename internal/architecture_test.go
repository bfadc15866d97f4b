// Package internal_test holds the rules that are about all packages together.
package internal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pratique/pratique/"

// tier is a height in the building: imports point downwards, or sideways.
type tier int

const (
	domain  tier = iota // pure: no network, no database
	service             // what the program does
	store               // all SQL; implements interfaces of the services
	edge                // protocols
	app                 // puts everything together
	command             // main programs and whole-program tests
)

func (t tier) String() string {
	return [...]string{"domain", "service", "store", "edge", "app", "command"}[t]
}

// tiers says where each package stands; a package without a line of its own
// stands where the folder above it does.
var tiers = map[string]tier{
	"internal/advisory":  domain,
	"internal/audit":     domain,
	"internal/image":     domain,
	"internal/inventory": domain,
	"internal/layer":     domain,
	"internal/match":     domain,
	"internal/realdata":  domain,
	"internal/version":   domain,

	"internal/advisory/bundle": service,
	"internal/advisory/feed":   service,
	"internal/assess":          service,
	"internal/auth":            service,
	"internal/blob":            service,
	"internal/clairapi":        service,
	"internal/config":          service,
	"internal/egress":          service,
	"internal/event":           service,
	"internal/garbage":         service,
	"internal/job":             service,
	"internal/notify":          service,
	"internal/oci/registry":    service,
	"internal/policy":          service,
	"internal/promote":         service,
	"internal/retention":       service,
	"internal/sbom":            service,
	"internal/setting":         service,
	"internal/secret":          service,
	"internal/source":          service,
	"internal/target":          service,
	"internal/upstream":        service,
	"internal/usage":           domain,
	"internal/vex":             service,

	"internal/store": store,

	"internal/adapterapi":       edge,
	"internal/admission":        edge,
	"internal/api":              edge,
	"internal/clairapi/clairv1": edge,
	"internal/clairapi/clairv4": edge,
	"internal/oci":              edge,
	"internal/progetapi":        edge,
	"internal/webui":            edge,

	"internal/app":    app,
	"internal/client": app, // the REST interface from outside
	"internal/report": app, // what the REST interface shows, on a terminal

	"bench":    command,
	"cmd":      command,
	"internal": command, // this test
	"test":     command,
}

func tierOf(path string) (tier, bool) {
	for folder := path; folder != "."; folder = filepath.Dir(folder) {
		if folder == "internal" && path != "internal" {
			break // a package of internal needs a line
		}
		if t, ok := tiers[folder]; ok {
			return t, true
		}
	}
	return 0, false
}

type listed struct {
	Dir, ImportPath string
	GoFiles         []string
	Imports         []string
	Deps            []string
}

// packages lists the packages of the project by their path in it.
func packages(t *testing.T) map[string]listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=Dir,ImportPath,GoFiles,Imports,Deps", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, &stderr)
	}
	all := map[string]listed{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(p.ImportPath, module)] = p
	}
	if len(all) < 10 {
		t.Fatalf("go list names only %d packages", len(all))
	}
	return all
}

func TestImportsPointDownwards(t *testing.T) {
	for path, p := range packages(t) {
		own, ok := tierOf(path)
		if !ok {
			t.Errorf("%s: internal/architecture_test.go does not say where it stands", path)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if !ours {
				if imported == "database/sql" && own < command && !under(path, "internal/store") {
					t.Errorf("%s imports database/sql; all SQL is in internal/store", path)
				}
				continue
			}
			height, ok := tierOf(other)
			switch {
			case !ok:
				t.Errorf("%s imports %s, of which is not known where it stands", path, other)
			case height > own:
				t.Errorf("%s (%s) imports %s (%s)", path, own, other, height)
			case own == edge && height == edge && top(path) != top(other):
				t.Errorf("%s imports %s: edges do not know each other", path, other)
			case under(other, "internal/config") && own < app:
				t.Errorf("%s imports %s: each package has options of its own, and app translates", path, other)
			case strings.HasSuffix(other, "test") && !strings.HasSuffix(path, "test") && own < command:
				t.Errorf("%s imports %s outside of tests", path, other)
			}
		}
	}
}

// TestDomainIsPure also follows what other modules import.
func TestDomainIsPure(t *testing.T) {
	for path, p := range packages(t) {
		if own, ok := tierOf(path); !ok || own != domain {
			continue
		}
		for _, forbidden := range []string{"database/sql", "net/http", "os/exec"} {
			if slices.Contains(p.Deps, forbidden) {
				t.Errorf("%s depends on %s", path, forbidden)
			}
		}
	}
}

// TestEdgesKnowOnlyErrorsOfTheStore: an edge gets the store through interfaces
// of its own; what it may name are the errors that it turns into answers.
func TestEdgesKnowOnlyErrorsOfTheStore(t *testing.T) {
	for path, p := range packages(t) {
		if own, ok := tierOf(path); !ok || own != edge || !slices.Contains(p.Imports, module+"internal/store") {
			continue
		}
		eachFile(t, p, func(name string, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := selector.X.(*ast.Ident); ok && x.Name == "store" && x.Obj == nil && !strings.HasPrefix(selector.Sel.Name, "Err") {
					t.Errorf("%s uses store.%s; declare an interface instead", name, selector.Sel.Name)
				}
				return true
			})
		})
	}
}

// TestNoInit: what a program does must not depend on what it imports.
func TestNoInit(t *testing.T) {
	for _, p := range packages(t) {
		eachFile(t, p, func(name string, file *ast.File) {
			for _, declaration := range file.Decls {
				if f, ok := declaration.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has a func init", name)
				}
			}
		})
	}
}

func eachFile(t *testing.T, p listed, visit func(name string, file *ast.File)) {
	t.Helper()
	for _, name := range p.GoFiles {
		path := filepath.Join(p.Dir, name)
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		visit(path, file)
	}
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// top is the folder below internal.
func top(path string) string {
	parts := strings.SplitN(path, "/", 3)
	return strings.Join(parts[:min(2, len(parts))], "/")
}
