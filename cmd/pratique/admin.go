package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/assess/exchange"
	"github.com/pratique/pratique/internal/config"
)

// admin is `pratique admin`.
type admin struct {
	ImportDecisions importDecisions `cmd:"" help:"Import decisions on vulnerabilities from other programs' files."`
	VerifyHistory   verifyHistory   `cmd:"" help:"Check that the history of assessments is whole, and that assessments are as it says."`
}

// decisionsSettings are the settings that assessments need; a server may run on
// the same database meanwhile.
type decisionsSettings struct {
	config.File
	config.Storage
	config.Log
}

func (s *decisionsSettings) open(ctx context.Context) (*app.Decisions, error) {
	return app.OpenDecisions(ctx, s.Storage, app.Options{Version: version, Log: s.Logger(os.Stderr)})
}

type importDecisions struct {
	decisionsSettings
	Format     string `name:"format" enum:",csv,trivyignore,trivyignore-yaml,grype,clair,vex" default:"" help:"csv, trivyignore, trivyignore-yaml, grype, clair or vex; told by the content where absent."`
	DryRun     bool   `name:"dry-run" help:"Only say what would become of each line."`
	SkipBad    bool   `name:"skip-bad" help:"Import the rest where some lines are bad."`
	Type       string `name:"type" help:"The assessment type of lines that name none; what VEX statements become where absent."`
	ScopeKind  string `name:"scope-kind" enum:"everywhere,registry,repository,image,package" default:"everywhere" help:"The scope of lines that name none."`
	ScopeValue string `name:"scope-value" help:"What that scope is: the registry, REGISTRY/REPOSITORY, the digest, or the package."`
	Registry   string `name:"registry" default:"main" help:"Where the images of clair-scanner's whitelist are."`
	TypeExpiry bool   `name:"type-expiry" help:"Lines without an expiry get their type's."`
	By         string `name:"by" default:"admin" help:"Who imports, for the history."`
	Decisions  string `arg:"" name:"file" help:"The file."`
}

// Run imports a file and prints what became of each line.
func (i *importDecisions) Run(ctx context.Context) (err error) {
	info, err := os.Stat(i.Decisions)
	if err != nil {
		return err
	}
	if info.Size() > exchange.MaxBytes {
		return fmt.Errorf("%s has more than %d bytes", i.Decisions, exchange.MaxBytes)
	}
	content, err := os.ReadFile(i.Decisions)
	if err != nil {
		return err
	}
	_, lines, err := exchange.Read(content, exchange.Format(i.Format), exchange.Options{Registry: i.Registry})
	if err != nil {
		return fmt.Errorf("%s %w", i.Decisions, err)
	}
	opened, err := i.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	result, err := opened.Import(ctx, lines, assess.ImportOptions{
		By: i.By, Source: filepath.Base(i.Decisions), Type: i.Type, Scope: assess.Scope{Kind: assess.ScopeKind(i.ScopeKind), Value: i.ScopeValue},
		TypeExpiry: i.TypeExpiry, SkipBad: i.SkipBad, DryRun: i.DryRun,
	})
	var wrong assess.FieldErrors
	if err != nil && !errors.As(err, &wrong) {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "LINE\tOUTCOME\tVULNERABILITY\tTYPE\tSCOPE\tWHY")
	for _, l := range result.Lines {
		a := l.Assessment
		why := l.Reason
		if l.Note != "" {
			why = join(why, l.Note)
		}
		name := a.Vulnerability
		if name == "" {
			name = l.Request.Vulnerability
		}
		scope := ""
		if a.Scope.Kind != "" {
			scope = a.Scope.String()
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\n", l.Number, l.Outcome, name, a.Type, scope, why)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	switch {
	case len(wrong) > 0:
		return fmt.Errorf("%d of %d lines are bad, and nothing was imported; --skip-bad imports the rest", len(wrong), len(lines))
	case i.DryRun:
		p := result.Preview
		fmt.Printf("%d findings of %d images would have another state; %d images could be pulled again, %d not any more\n", p.Findings, p.Images, p.Pullable, p.Blocked)
	default:
		fmt.Printf("%d decisions imported\n", result.Counts[assess.Taken]+result.Counts[assess.Replaces]+result.Counts[assess.Waits])
	}
	return nil
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

type verifyHistory struct {
	decisionsSettings
	KnownEvents int64  `name:"known-events" help:"A number of events that was noted earlier."`
	KnownHead   string `name:"known-head" help:"The head that was noted with it."`
}

// Run checks the history and prints what is wrong with it.
func (v *verifyHistory) Run(ctx context.Context) (err error) {
	head, err := hex.DecodeString(v.KnownHead)
	if err != nil {
		return fmt.Errorf("--known-head: %w", err)
	}
	opened, err := v.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	found, err := opened.Verify(ctx, assess.Anchor{Events: v.KnownEvents, Head: head})
	if err != nil {
		return err
	}
	fmt.Printf("%d events, %d assessments, head %x\n", found.Events, found.Assessments, found.Head)
	for _, fault := range found.Faults {
		fmt.Println(fault)
	}
	if len(found.Faults) > 0 {
		return errors.New("the history is not intact")
	}
	fmt.Println("The history is intact.")
	return nil
}
