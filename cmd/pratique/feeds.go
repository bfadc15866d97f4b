package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
)

// feeds is `pratique feeds`.
type feeds struct {
	Update feedsUpdate `cmd:"" help:"Fetch what changed and match it, now."`
	List   feedsList   `cmd:"" help:"Show how current each feed is."`
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
	Names []string `arg:"" optional:"" name:"feed" help:"The feeds to update; all where none is named."`
}

// Run updates the feeds and prints what became of each.
func (f *feedsUpdate) Run(ctx context.Context) (err error) {
	opened, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	results, err := opened.Update(ctx, f.Names, nil)
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
