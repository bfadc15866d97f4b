package main

import (
	"context"
	"fmt"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// install makes an image of packages whose versions are seen for the first time
// where patch was not used before: of any age in the fleet, or of the newest alone.
func (f *fleetOf) install(n, patch int, newest bool) []inventory.Installed {
	u, r := f.upstream(), chance("install", patch)
	step := func(oldest, steps int) int {
		if newest {
			return oldest + steps - 1
		}
		return oldest + r.IntN(steps)
	}
	var list []inventory.Installed
	for seen := make(map[inventory.Package]bool); len(list) < n; {
		p := osPackage("debian:12", 1+skewed(r, u.debianSources()-1), step(84, 12), patch)
		path := "var/lib/dpkg/status"
		if len(list) >= n*2/5 {
			l := languages[len(list)%3]
			p = languagePackage(l.kind, l.folder, skewed(r, 3*u.of(l.names)), step(60, 38), patch)
			path = "opt/app/packages/" + p.Name
		}
		if !seen[p] {
			seen[p] = true
			list = append(list, inventory.Installed{Package: p, Path: path, Detector: "bench", LayerIndex: 0})
		}
	}
	return list
}

// keep stores an image with its inventory.
func (f *fleetOf) keep(ctx context.Context, digest string, installed []inventory.Installed) error {
	if err := f.store.SaveImage(ctx, image.Image{Digest: digest, MediaType: "application/vnd.oci.image.manifest.v1+json", Layers: []image.Layer{{Digest: madeDigest(digest)}}}); err != nil {
		return err
	}
	id, err := f.store.SaveInventory(ctx, digest, inventory.Image{Packages: installed}, match.Package)
	if err != nil {
		return err
	}
	return f.store.SettleImage(ctx, digest, image.Done, "", id)
}

// newImages stores images of 500 packages each that nobody has seen, and reads
// their findings.
func (f *fleetOf) newImages(ctx context.Context, add func(what, target, of string, c cost)) error {
	for i, of := range []string{"of any age in the fleet", "of the newest versions"} {
		var all []cost
		found := 0
		for turn := range 9 {
			installed, digest := f.install(500, 10+i*100+turn, i == 1), madeDigest("new image", i, turn)
			c, err := f.measured(func() error {
				if err := f.keep(ctx, digest, installed); err != nil {
					return err
				}
				findings, err := f.store.ImageFindings(ctx, digest)
				found += len(findings)
				return err
			})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		add("a new image of 500 packages never seen, "+of+": stored, matched, its findings read", "50 ms",
			fmt.Sprintf("%d findings on average", found/len(all)), median(all))
	}
	return nil
}

// reports reads the findings of images that are stored.
func (f *fleetOf) reports(ctx context.Context, add func(what, target, of string, c cost)) error {
	large := madeDigest("an image of 1,000 packages")
	if err := f.keep(ctx, large, f.install(1000, 1, false)); err != nil {
		return err
	}
	read := func(digest func(turn int) string, of string, target string) error {
		var all []cost
		found := 0
		for turn := range 101 {
			c, err := f.measured(func() error {
				findings, err := f.store.ImageFindings(ctx, digest(turn))
				found += len(findings)
				return err
			})
			if err != nil {
				return err
			}
			all = append(all, c)
		}
		add("findings of a known image, "+of, target, fmt.Sprintf("%d findings on average", found/len(all)), median(all))
		return nil
	}
	if err := read(func(turn int) string { return f.imageDigest(turn*13%len(f.apps), turn%tagsOfApp) }, "any of the fleet's", "5 ms"); err != nil {
		return err
	}
	return read(func(int) string { return large }, "1,000 packages", "15 ms")
}

// newVulnerability publishes one on a package that all of Debian has, and lists
// the images that it affects.
func (f *fleetOf) newVulnerability(ctx context.Context, add func(what, target, of string, c cost)) error {
	const name = "CVE-2027-1"
	g := feed.Entry{Group: advisory.Group{Part: "bench", Name: name, Details: map[string]advisory.Detail{name: {Description: "made up"}}}}
	common := f.common()
	for _, release := range []string{"11", "12", "13"} {
		g.Advisories = append(g.Advisories, advisory.Advisory{Vulnerability: name, Ecosystem: "debian:" + release, Package: common, Source: true, Status: advisory.Affected, Severity: advisory.Critical})
	}
	images := make(map[string]bool)
	var v match.Vulnerability
	var after *match.AffectedCursor
	page := func() error {
		list, next, err := f.store.AffectedImages(ctx, v.ID, after, 100)
		for _, a := range list {
			images[a.Digest] = true
		}
		after = next
		return err
	}
	c, err := f.measured(func() (err error) {
		if err := f.store.ReplaceAdvisories(ctx, "bench", "bench", []feed.Entry{g}, nil, match.Package); err != nil {
			return err
		}
		if v, err = f.store.VulnerabilityByName(ctx, name); err != nil {
			return err
		}
		return page()
	})
	if err != nil {
		return err
	}
	first := len(images)
	rest, err := f.measured(func() error {
		for after != nil {
			if err := page(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	add("a new vulnerability: stored, matched, the first page of the images that it affects", "1 s", fmt.Sprintf("%d of %d images", first, len(images)), c)
	add("the other pages of that list", "", fmt.Sprintf("%d pages of 100", len(images)/100), rest)
	return nil
}

// common is a source package that most bases of Debian have.
func (f *fleetOf) common() string {
	count := make(map[string]int)
	best := ""
	for _, b := range f.bases {
		for _, p := range b.packages {
			if b.distribution[:3] != "deb" {
				continue
			}
			if count[p.SourceName]++; count[p.SourceName] > count[best] || count[p.SourceName] == count[best] && p.SourceName < best {
				best = p.SourceName
			}
		}
	}
	return best
}
