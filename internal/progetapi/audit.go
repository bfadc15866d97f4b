package progetapi

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// auditedPackage is a package as pgutil finds it in a lock file.
type auditedPackage struct {
	Type    string `json:"type"`
	Group   string `json:"group"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// vulnerabilityInfo is a vulnerability with the places in the request of the
// packages that it affects: others would crash pgutil.
type vulnerabilityInfo struct {
	ID        string     `json:"id"`
	Summary   string     `json:"summary"`
	Published *time.Time `json:"published,omitempty"`
	Details   string     `json:"details"`
	CVE       string     `json:"cve,omitempty"`
	CVSS      string     `json:"cvss,omitempty"`
	Score     float64    `json:"numericCvss"`
	Severity  string     `json:"severity,omitempty"`
	Affected  []int      `json:"affectedPackages"`
}

// postAudit tells what affects packages. Those of a distribution are judged where
// their versions tell which it is.
func (a *API) postAudit(r *http.Request, _ auth.Principal) (any, error) {
	var request []auditedPackage
	if err := decode(r, &request); err != nil {
		return nil, err
	}
	if len(request) > maxPackages {
		return nil, refused{http.StatusBadRequest, fmt.Sprintf("more than %d packages", maxPackages)}
	}
	img := inventory.Image{}
	for i, p := range request {
		if p.Name == "" || p.Version == "" || len(p.Group)+len(p.Name)+len(p.Version) > 2000 {
			return nil, refused{http.StatusBadRequest, fmt.Sprintf("package %d: its name or version is empty, or too long", i)}
		}
		img.Packages = append(img.Packages, inventory.Installed{Package: asPackage(p)})
	}
	if d, ok := img.InferDistribution(); ok {
		img.SetDistribution(d)
	}
	affected, err := a.affected(r.Context(), img)
	if err != nil {
		return nil, err
	}
	list := make([]vulnerabilityInfo, 0, len(affected))
	for name, places := range affected {
		v, err := a.store.VulnerabilityByName(r.Context(), name)
		if err != nil {
			return nil, err
		}
		list = append(list, describe(v, places))
	}
	slices.SortFunc(list, func(a, b vulnerabilityInfo) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// affected returns the places of affected packages by the vulnerability's name.
func (a *API) affected(ctx context.Context, img inventory.Image) (map[string][]int, error) {
	var keys []advisory.Key
	for _, p := range img.Packages {
		for _, h := range match.Keys(p.Package, nil) {
			keys = append(keys, h.Key)
		}
	}
	stated, err := a.store.StatementsOn(ctx, keys)
	if err != nil {
		return nil, err
	}
	affected := make(map[string][]int)
	for i, p := range img.Packages {
		var statements []match.Statement
		for _, h := range match.Keys(p.Package, nil) {
			statements = append(statements, stated[h.Key]...)
		}
		for _, m := range match.Package(p.Package, statements) {
			if places := affected[m.Vulnerability]; !slices.Contains(places, i) {
				affected[m.Vulnerability] = append(places, i)
			}
		}
	}
	return affected, nil
}

func describe(v match.Vulnerability, places []int) vulnerabilityInfo {
	out := vulnerabilityInfo{ID: v.Name, Details: v.Description, CVSS: v.Vector, Score: v.CVSS, Affected: places}
	out.Summary, _, _ = strings.Cut(v.Description, ". ")
	out.Summary, _, _ = strings.Cut(out.Summary, "\n")
	if strings.HasPrefix(v.Name, "CVE-") {
		out.CVE = v.Name
	}
	if !v.Published.IsZero() {
		published := v.Published.UTC()
		out.Published = &published
	}
	switch v.Severity { // pgutil knows four
	case advisory.Negligible:
		out.Severity = "Low"
	case advisory.Low, advisory.Medium, advisory.High, advisory.Critical:
		name := v.Severity.String()
		out.Severity = strings.ToUpper(name[:1]) + name[1:]
	}
	return out
}

var separators = regexp.MustCompile(`[-_.]+`)

// asPackage is a package as inventories have it. Of a distribution's packages the
// name is taken for the source's, too: pgutil does not tell it.
func asPackage(p auditedPackage) inventory.Package {
	out := inventory.Package{Type: strings.ToLower(p.Type), Name: p.Name, Version: p.Version}
	switch out.Type {
	case "deb", "debian":
		out.Type, out.SourceName, out.SourceVersion = "deb", p.Name, p.Version
	case "apk", "rpm":
		out.SourceName, out.SourceVersion = p.Name, p.Version
	case "maven":
		if p.Group != "" {
			out.Name = p.Group + ":" + p.Name
		}
	case "npm":
		if group := strings.TrimPrefix(p.Group, "@"); group != "" {
			out.Name = "@" + group + "/" + p.Name
		}
	case "pypi":
		out.Name = strings.ToLower(separators.ReplaceAllString(p.Name, "-")) // PEP 503
	}
	return out
}
