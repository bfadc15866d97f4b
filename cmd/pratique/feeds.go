package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/pratique/pratique/internal/advisory/bundle"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/target"
)

// feeds is `pratique feeds`.
type feeds struct {
	Update feedsUpdate `cmd:"" help:"Fetch what changed and match it, now."`
	List   feedsList   `cmd:"" help:"Show how current each feed is."`
	Export feedsExport `cmd:"" help:"Write what is stored to one signed file, for an installation without internet."`
	Import feedsImport `cmd:"" help:"Store what such a file holds."`
}

// feedsSettings are the settings that the feeds need; a server may run on the
// same database meanwhile.
type feedsSettings struct {
	config.File
	config.Storage
	config.Feeds
	config.Log
}

func (s *feedsSettings) open(ctx context.Context) (*app.Feeds, error) {
	return app.OpenFeeds(ctx, s.Storage, s.Feeds, app.Options{Version: version, Log: s.Logger(os.Stderr)})
}

type feedsUpdate struct {
	feedsSettings
	AcceptLoss bool     `name:"accept-loss" help:"Believe documents that take away over half of what is stored."`
	Names      []string `arg:"" optional:"" name:"feed" help:"The feeds to update; all where none is named."`
}

// Run updates the feeds and prints what became of each.
func (f *feedsUpdate) Run(ctx context.Context) (err error) {
	opened, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	if os.Getenv("GOGC") == "" {
		// A large group is a hundred megabytes for a moment: nobody waits for this
		// process, so rather collect twice as often than take twice of it.
		debug.SetGCPercent(50)
	}
	results, err := opened.Update(ctx, feed.Request{Feeds: f.Names, AcceptLoss: f.AcceptLoss})
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEED\tDOCUMENTS\tCHANGED\tREMOVED\tSKIPPED\tTIME\tRESULT")
	for _, r := range results {
		result := "done"
		if r.Err != nil {
			result = "failed"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.Feed, len(r.Parts), r.Changed, r.Removed, r.Skipped.Count, r.Duration.Round(time.Millisecond), result)
	}
	return errors.Join(err, w.Flush())
}

type feedsList struct{ feedsSettings }

// Run prints the state of each feed.
func (f *feedsList) Run(ctx context.Context) (err error) {
	opened, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	statuses, err := opened.Status(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEED\tPACKAGES\tADVISORIES\tLAST SUCCESS\tERROR")
	for _, s := range statuses {
		last := "never"
		if !s.LastSuccess.IsZero() {
			last = s.LastSuccess.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\n", s.Name, s.Packages(), s.Advisories(), last, s.Error)
	}
	return w.Flush()
}

type feedsExport struct {
	feedsSettings
	Key string `name:"key" placeholder:"FILE" default:"pratique-feeds.pem" help:"Private key that signs it, Ed25519 in PEM. Made, with FILE.pub beside it, where there is none."`
	bundlePlace
}

// bundlePlace says where a bundle is.
type bundlePlace struct {
	Insecure bool   `name:"insecure" help:"Allow registries over http, and with certificates that nobody vouches for."`
	Bundle   string `arg:"" name:"file" help:"The file, or oci:HOST/REPOSITORY:TAG for a registry, to which docker's or podman's configuration has the password."`
}

func (p bundlePlace) remote() target.Remote {
	return target.Remote{Insecure: p.Insecure, UserAgent: "pratique/" + version}
}

// Run writes a bundle and prints what it holds.
func (f *feedsExport) Run(ctx context.Context) (err error) {
	opened, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	m, made, err := opened.Export(ctx, f.Bundle, f.Key, f.remote())
	if made {
		fmt.Fprintf(os.Stderr, "made the key %s; importers need %s.pub\n", f.Key, f.Key)
	}
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FEED\tDOCUMENTS\tGROUPS\tCONFIRMED")
	for _, c := range m.Feeds {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", c.Name, c.Parts, c.Groups, c.LastSuccess.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(w, "%s: %s, %s\n", f.Bundle, humanize.IBytes(uint64(m.Size)), m.Digest)
	return w.Flush()
}

type feedsImport struct {
	feedsSettings
	PublicKey  string `name:"public-key" placeholder:"FILE" required:"" help:"Public key of the exporter, in PEM."`
	AllowOlder bool   `name:"allow-older" help:"Also where a newer file was imported before."`
	bundlePlace
}

// Run imports a bundle and prints what changed.
func (f *feedsImport) Run(ctx context.Context) (err error) {
	opened, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	r, err := opened.Import(ctx, f.Bundle, f.PublicKey, f.remote(), bundle.Options{AllowOlder: f.AllowOlder})
	if err != nil {
		return err
	}
	fmt.Printf("imported %d feeds of %s: %d groups changed, %d removed\n", len(r.Feeds), r.Created.UTC().Format(time.RFC3339), r.Changed, r.Removed)
	return nil
}
