package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
)

// matching loads the full feeds into an empty database, then matches 100,000
// distinct packages against them, and tells what an unchanged feed costs.
func matching(ctx context.Context, o options) (err error) {
	mirror := filepath.Join(o.data, "feeds")
	if _, err := os.Stat(mirror); err != nil {
		fmt.Printf("\n## Matching\n\nNot measured: %v.\n", err)
		return nil
	}
	name := filepath.Join(o.dir, "matching.db")
	s, err := store.Open(ctx, "sqlite:"+name, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror, TempDir: o.dir})
	if err != nil {
		return err
	}
	defer fetcher.Close()
	var packages, advisories int
	updater := feed.New(s, fetcher, []feed.Feed{debian.New(), alpine.New()}, match.Package, feed.Options{})
	var load, again, match100k best
	update := func() error {
		results, err := updater.Update(ctx, feed.Request{})
		for _, r := range results {
			for _, p := range r.Parts {
				packages += p.Packages
				advisories += p.Advisories
			}
		}
		return err
	}
	if err := load.of(update); err != nil {
		return err
	}
	loaded := fmt.Sprintf("%d and %d", packages, advisories)
	if err := again.of(update); err != nil {
		return err
	}
	installed, err := distinctPackages(ctx, s, 100_000)
	if err != nil {
		return err
	}
	if err := match100k.of(func() error {
		_, err := s.SaveInventory(ctx, "bench", inventory.Image{Packages: installed}, match.Package)
		return err
	}); err != nil {
		return err
	}
	size, err := os.Stat(name)
	if err != nil {
		return err
	}
	t := newTable("Feeds and matching (SQLite)", "what", "figure")
	t.row("packages and advisories in the Debian and Alpine feeds", loaded)
	t.row("first load of both", load.seconds())
	t.row("update when nothing changed", again.seconds())
	t.row("100,000 distinct packages stored and matched", match100k.seconds())
	t.row("rate", fmt.Sprintf("%.0f packages/s", 100_000/time.Duration(match100k).Seconds()))
	t.row("database", megabytes(size.Size()))
	return nil
}

// distinctPackages makes packages of the names that the feeds speak of, in
// several versions, in Debian and Alpine.
func distinctPackages(ctx context.Context, s *store.Store, n int) ([]inventory.Installed, error) {
	list := make([]inventory.Installed, 0, n)
	type release struct{ kind, distribution, version string }
	releases := []release{
		{"deb", "debian:11", "1.%d-1+deb11u1"}, {"deb", "debian:12", "2.%d-1"}, {"deb", "debian:13", "3.%d-2"},
		{"apk", "alpine:v3.18", "1.%d.1-r0"}, {"apk", "alpine:v3.20", "2.%d.0-r1"},
	}
	var names []string
	for _, document := range []struct{ feed, part string }{{"debian", "tracker"}, {"alpine", "v3.20/main"}} {
		known, err := s.Fingerprints(ctx, document.feed, document.part)
		if err != nil {
			return nil, err
		}
		names = append(names, slices.Sorted(maps.Keys(known))...)
	}
	if len(names) == 0 {
		return nil, errors.New("the feeds speak of no package")
	}
	for i := 0; len(list) < n; i++ {
		for _, r := range releases {
			name := names[i%len(names)]
			version := fmt.Sprintf(r.version, i)
			list = append(list, inventory.Installed{
				Package: inventory.Package{Type: r.kind, Distribution: r.distribution, Name: name, Version: version, Architecture: "amd64", SourceName: name, SourceVersion: version},
				Path:    "bench", Detector: "bench",
			})
		}
	}
	return list[:n], nil
}
