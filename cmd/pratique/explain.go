package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/report"
)

// explain is `pratique explain`.
type explain struct {
	config.File
	config.Storage `group:"Storage"`
	config.Feeds   `group:"Feeds"`
	config.Layers  `group:"Analysis"`
	config.Log     `group:"Log"`
	ScanFlags
	Vulnerability string `arg:"" help:"A CVE id, or any other name that feeds use for it."`
	Target        string `arg:"" help:"The image, as for scan."`
}

// Run says why the image is, or is not, affected.
func (e *explain) Run(ctx context.Context) error {
	err := e.run(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, errors.New("interrupted")}
	}
	return err
}

func (e *explain) run(ctx context.Context) (err error) {
	if e.Output != "table" && e.Output != "json" {
		return errors.New("--output: want table or json")
	}
	if len(e.FailOn) > 0 {
		return errors.New("--fail-on: only scan takes it")
	}
	s := &scan{File: e.File, Storage: e.Storage, Feeds: e.Feeds, Layers: e.Layers, Log: e.Log, ScanFlags: e.ScanFlags, Target: e.Target}
	req, err := s.request()
	if err != nil {
		return err
	}
	bars := newBars(os.Stderr)
	scanner, err := app.OpenScanner(ctx, app.ScanSettings{Storage: e.Storage, Feeds: e.Feeds, Layers: e.Layers},
		app.Options{Version: version, Log: e.Logger(bars)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scanner.Close()) }()
	if e.Update {
		if err := scanner.UpdateFeeds(ctx, bars.say); err != nil {
			return err
		}
	}
	req.Progress = bars.layer
	found, err := scanner.Explain(ctx, e.Vulnerability, req)
	bars.wait()
	if err != nil && !errors.Is(err, app.ErrUnread) {
		return s.explain(err)
	}
	if e.Output == "json" {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(found); err != nil {
			return err
		}
	} else if err := report.Explanation(os.Stdout, e.Target, found); err != nil {
		return err
	}
	if err != nil {
		return s.explain(err)
	}
	return nil
}
