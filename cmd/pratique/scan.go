package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/report"
	"github.com/pratique/pratique/internal/target"
)

// scan is `pratique scan`.
type scan struct {
	config.File
	config.Storage `group:"Storage"`
	config.Feeds   `group:"Feeds"`
	config.Layers  `group:"Analysis"`
	config.Log     `group:"Log"`
	ScanFlags
	Target string `arg:"" help:"What to scan: oci-dir:DIR, oci-archive:FILE, docker-archive:FILE (these with :IMAGE where there are several), rootfs:DIR, sbom:FILE, or the reference of an image in any registry."`
}

// ScanFlags are the choices of a scan. They are no settings of a server, and not
// read from its file.
type ScanFlags struct {
	Output        string   `name:"output" short:"o" env:"PRATIQUE_SCAN_OUTPUT" default:"table" placeholder:"FORM" help:"How to write what was found: table, json, cyclonedx, spdx or sarif."`
	FailOn        []string `name:"fail-on" env:"PRATIQUE_SCAN_FAIL_ON" placeholder:"WHAT" help:"End with status 2 on unassessed findings of a severity or above (critical, high, medium, low, negligible, or any for those of unknown severity too), on what the policy blocks (policy), or where it is not known what the image holds (unknown)."`
	Platform      string   `name:"platform" env:"PRATIQUE_SCAN_PLATFORM" placeholder:"OS/ARCH" help:"The platform to scan, os/arch or os/arch/variant, or all of them: all. The default is this machine's, else the only one there is."`
	Registry      string   `name:"registry" env:"PRATIQUE_SCAN_REGISTRY" placeholder:"NAME" help:"The registry of the server's whose policy and assessments count, with /REPOSITORY also those of a repository. Without one, what is assessed everywhere counts."`
	Update        bool     `name:"update" env:"PRATIQUE_SCAN_UPDATE" help:"Update the feeds first."`
	Username      string   `name:"username" env:"PRATIQUE_SCAN_USERNAME" placeholder:"NAME" help:"User of the registry that the image is in. Without one, docker's or podman's configuration says."`
	PasswordStdin bool     `name:"password-stdin" help:"Read the password from standard input; else it is in PRATIQUE_SCAN_PASSWORD."`
	Insecure      bool     `name:"insecure" env:"PRATIQUE_SCAN_INSECURE" help:"Allow registries over http, and with certificates that nobody vouches for."`
}

// BeforeReset has an empty environment variable count as none.
func (*ScanFlags) BeforeReset(ctx *kong.Context) error {
	emptyIsNone(ctx, "PRATIQUE_SCAN_")
	return nil
}

// emptyIsNone has empty variables whose names begin with prefix count as none.
func emptyIsNone(ctx *kong.Context, prefix string) {
	ctx.AddResolver(kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		if len(flag.Envs) != 1 || !strings.HasPrefix(flag.Envs[0], prefix) {
			return nil, nil
		}
		if value, set := os.LookupEnv(flag.Envs[0]); !set || value != "" {
			return nil, nil
		}
		switch {
		case flag.IsBool():
			return false, nil
		case flag.IsSlice():
			return []any{}, nil
		}
		return flag.Default, nil
	}))
}

// statusError ends the program with a status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// Status is the exit status.
func (e *statusError) Status() int { return e.status }

// The exit statuses besides 0 and 1.
const (
	statusFailed      = 2   // --fail-on says so
	statusInterrupted = 130 // as shells have it for SIGINT
)

// Run scans, writes the report and says by its status what --fail-on makes of it.
func (s *scan) Run(ctx context.Context) error {
	err := s.run(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, errors.New("interrupted")}
	}
	return err
}

func (s *scan) run(ctx context.Context) (err error) {
	write, err := s.writer()
	if err != nil {
		return err
	}
	conditions, err := readConditions(s.FailOn)
	if err != nil {
		return err
	}
	req, err := s.request()
	if err != nil {
		return err
	}
	bars := newBars(os.Stderr)
	scanner, err := app.OpenScanner(ctx, app.ScanSettings{Storage: s.Storage, Feeds: s.Feeds, Layers: s.Layers},
		app.Options{Version: version, Log: s.Logger(bars)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scanner.Close()) }()
	if s.Update {
		if err := scanner.UpdateFeeds(ctx, bars.say); err != nil {
			// What is stored of them serves; the report says how old it is.
			fmt.Fprintln(os.Stderr, "pratique: the feeds could not all be updated:", printable(err.Error()))
		}
	}
	req.Progress = bars.layer
	found, err := scanner.Scan(ctx, req)
	bars.wait()
	if err != nil && !errors.Is(err, app.ErrUnread) {
		return s.explain(err)
	}
	if err := write(os.Stdout, found); err != nil {
		return err
	}
	if s.Output != "table" {
		s.warn(found)
	}
	if err != nil {
		return s.explain(err)
	}
	if failed := conditions.failed(found); len(failed) > 0 {
		return &statusError{statusFailed, errors.New("--fail-on: " + strings.Join(failed, "; "))}
	}
	return nil
}

// writer is how the report is written.
func (s *scan) writer() (func(io.Writer, report.Report) error, error) {
	switch s.Output {
	case "table":
		return func(w io.Writer, r report.Report) error {
			return report.Table(w, r, report.TableOptions{Color: colored(os.Stdout), NoAdvisories: s.howToFetch()})
		}, nil
	case "json":
		return report.JSON, nil
	case "cyclonedx":
		return report.CycloneDX, nil
	case "spdx":
		return report.SPDX, nil
	case "sarif":
		return report.SARIF, nil
	}
	return nil, fmt.Errorf("--output: want table, json, cyclonedx, spdx or sarif, got %q", s.Output)
}

// colored reports a terminal whose user has not asked for no colours
// (https://no-color.org).
func colored(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func (s *scan) howToFetch() string {
	return fmt.Sprintf("Fetch them with: pratique feeds update --data %s (or scan with --update)", s.Data)
}

// request is what to scan.
func (s *scan) request() (app.ScanRequest, error) {
	name, err := target.Parse(s.Target)
	if err != nil {
		return app.ScanRequest{}, err
	}
	if s.Output != "table" && s.Output != "json" && s.Output != "sarif" && s.Platform == target.AllPlatforms {
		return app.ScanRequest{}, fmt.Errorf("--platform: %w", report.ErrSeveral)
	}
	registry, repository, _ := strings.Cut(s.Registry, "/")
	req := app.ScanRequest{
		Target: name, Platform: s.Platform, At: assess.Place{Registry: registry, Repository: repository},
		Remote: target.Remote{Username: s.Username, Password: os.Getenv("PRATIQUE_SCAN_PASSWORD"), Insecure: s.Insecure, UserAgent: "pratique/" + version},
	}
	switch {
	case !s.PasswordStdin:
	case s.Username == "":
		return req, errors.New("--password-stdin: --username is wanted, too")
	default:
		if req.Remote.Password, err = readPassword(os.Stdin); err != nil {
			return req, fmt.Errorf("--password-stdin: %w", err)
		}
	}
	if s.Username != "" && req.Remote.Password == "" {
		return req, errors.New("--username: a password is wanted, too: give --password-stdin or PRATIQUE_SCAN_PASSWORD")
	}
	return req, nil
}

// readPassword reads a line.
func readPassword(r io.Reader) (string, error) {
	const most = 16 << 10 // tokens are passwords, too
	line, err := bufio.NewReader(io.LimitReader(r, most)).ReadString('\n')
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// explain adds what can be done.
func (s *scan) explain(err error) error {
	text := err.Error()
	if errors.Is(err, target.ErrUnauthorized) {
		text += "; log in with docker login, or give --username and --password-stdin"
	}
	return &foreignError{printable(text), err}
}

// foreignError is an error that quotes what others wrote.
type foreignError struct {
	text string
	err  error
}

func (e *foreignError) Error() string { return e.text }
func (e *foreignError) Unwrap() error { return e.err }

// warn says on standard error what a reader of other forms than the table may
// not see.
func (s *scan) warn(r report.Report) {
	for _, img := range r.Images {
		if img.Coverage.Verdict == "known" {
			continue
		}
		fmt.Fprintf(os.Stderr, "pratique: %s: coverage is %s: %s\n", printable(img.Name), img.Coverage.Verdict, printable(strings.Join(img.Coverage.Reasons, "; ")))
	}
	if !r.Fetched() {
		fmt.Fprintf(os.Stderr, "pratique: no advisories were ever fetched. %s\n", s.howToFetch())
	}
}

// printable leaves out what a terminal would take for more than text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || !unicode.IsControl(r) {
			return r
		}
		return -1
	}, text)
}
