package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/azure"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
	"github.com/pratique/pratique/internal/advisory/feed/wolfi"
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
	feeds, names, err := present(mirror)
	if err != nil {
		return err
	}
	updater := feed.New(s, fetcher, feeds, match.Package, feed.Options{})
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
	installed, err := distinctPackages(ctx, name, 100_000)
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
	t.row("feeds", strings.Join(names, ", "))
	t.row("groups and statements in them", loaded)
	t.row("first load", load.seconds())
	t.row("update when nothing changed", again.seconds())
	t.row("100,000 distinct packages stored and matched", match100k.seconds())
	t.row("rate", fmt.Sprintf("%.0f packages/s", 100_000/time.Duration(match100k).Seconds()))
	t.row("database", megabytes(size.Size()))
	return nil
}

// present are the feeds whose first document is in a mirror.
func present(mirror string) (feeds []feed.Feed, names []string, err error) {
	all := append([]feed.Feed{debian.New(), alpine.New(), wolfi.New(), azure.New()}, osv.Feeds()...)
	for _, f := range all {
		address, err := url.Parse(f.Parts()[0].URL)
		if err != nil {
			return nil, nil, err
		}
		if _, err := os.Stat(filepath.Join(mirror, address.Host, address.Path)); err == nil {
			feeds, names = append(feeds, f), append(names, f.Name())
		}
	}
	return feeds, names, nil
}

// distinctPackages makes packages of the names that the feeds speak of, in
// several versions, of all distributions and languages in turn.
func distinctPackages(ctx context.Context, database string, n int) (_ []inventory.Installed, err error) {
	db, err := sql.Open("sqlite", "file:"+database)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, `select distinct ecosystem, package from advisories order by package, ecosystem`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var packages []inventory.Package
	for rows.Next() {
		var ecosystem, name string
		if err := rows.Scan(&ecosystem, &name); err != nil {
			return nil, err
		}
		id, _, distribution := strings.Cut(ecosystem, ":")
		p := inventory.Package{Type: ecosystem, Name: name}
		if distribution {
			p = inventory.Package{Type: inventory.PackageType(id), Distribution: ecosystem, Name: name, SourceName: name}
		}
		if _, judged := match.Scheme(p.Type); judged {
			packages = append(packages, p)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if len(packages) == 0 {
		return nil, errors.New("the feeds speak of no package")
	}
	suffix := map[string]string{"deb": "-1", "apk": "-r0", "rpm": "-1"}
	list := make([]inventory.Installed, 0, n)
	for i := range n {
		p := packages[i%len(packages)]
		p.Version = fmt.Sprintf("%d.%d.0%s", 1+i%5, i/len(packages), suffix[p.Type])
		if p.SourceName != "" {
			p.SourceVersion = p.Version
		}
		list = append(list, inventory.Installed{Package: p, Path: "bench", Detector: "bench"})
	}
	return list, nil
}
