package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/distribution/reference"

	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/client"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/report"
)

// gate is `pratique gate`. It reads no settings of a server.
type gate struct {
	Server     string        `name:"server" env:"PRATIQUE_GATE_SERVER" placeholder:"URL" help:"The server to ask. Without one, it is the image's host, by https; localhost and loopback addresses by http."`
	APIKey     string        `name:"api-key" env:"PRATIQUE_GATE_API_KEY" placeholder:"KEY" help:"API key. Other users of the machine can read a flag: better use the environment or api-key-file."`
	APIKeyFile string        `name:"api-key-file" env:"PRATIQUE_GATE_API_KEY_FILE" placeholder:"FILE" help:"File with the API key; - is standard input."`
	Output     string        `name:"output" short:"o" env:"PRATIQUE_GATE_OUTPUT" default:"table" placeholder:"FORM" help:"How to write what is known of the image: table, json or sarif."`
	Wait       time.Duration `name:"wait" env:"PRATIQUE_GATE_WAIT" default:"5m" placeholder:"DURATION" help:"How long to wait for the analysis of the image to be done; 0 for not at all."`
	User       string        `name:"user" env:"PRATIQUE_GATE_USER" placeholder:"NAME" help:"Who is going to pull the image, where exceptions are made for some. Without, whose key it is."`
	Insecure   bool          `name:"insecure" env:"PRATIQUE_GATE_INSECURE" help:"Allow certificates that nobody vouches for."`
	Image      string        `arg:"" help:"HOST/REGISTRY/REPOSITORY with :TAG or @DIGEST; with --server the HOST may be left out."`
}

// BeforeReset has an empty environment variable count as none.
func (*gate) BeforeReset(ctx *kong.Context) error {
	emptyIsNone(ctx, "PRATIQUE_GATE_")
	return nil
}

// Run asks, writes a report, and says by its status whether the image may be
// pulled: 0, or 2 where policy blocks it.
func (g *gate) Run(ctx context.Context) error {
	err := g.run(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, errors.New("interrupted")}
	}
	return err
}

func (g *gate) run(ctx context.Context) error {
	write, err := g.writer()
	if err != nil {
		return err
	}
	if g.Wait < 0 {
		return fmt.Errorf("--wait: %s is negative", g.Wait)
	}
	server, name, err := ask(g.Server, g.Image)
	if err != nil {
		return err
	}
	key, err := apiKey(g.APIKey, g.APIKeyFile, os.Stdin)
	if err != nil {
		return err
	}
	c, err := client.New(server, client.Options{Key: key, Insecure: g.Insecure, UserAgent: "pratique/" + version})
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	verdict, err := c.Verdict(ctx, client.Question{Image: name, User: g.User, Wait: g.Wait})
	switch {
	case errors.Is(err, client.ErrPending) && g.Wait == 0:
		fmt.Fprintf(os.Stderr, "pratique: %s: %s; the verdict is that of now\n", g.Image, err)
	case errors.Is(err, client.ErrPending):
		return fmt.Errorf("%s: %w after %s", g.Image, err, g.Wait)
	case err != nil:
		return explainAnswer(err, key, "PRATIQUE_GATE_API_KEY")
	}
	verdict.Image = g.Image
	found, err := c.Report(ctx, verdict, version, time.Now())
	if err != nil {
		return explainAnswer(err, key, "PRATIQUE_GATE_API_KEY")
	}
	if err := write(os.Stdout, found); err != nil {
		return err
	}
	for _, w := range verdict.Verdict.Warnings {
		fmt.Fprintln(os.Stderr, "pratique: warning:", printable(w.Message))
	}
	if verdict.Analysis == string(image.Failed) {
		fmt.Fprintln(os.Stderr, "pratique: warning: its analysis failed: what is in it is not known")
	}
	if verdict.Verdict.Blocked {
		return &statusError{statusFailed, errors.New(printable(g.Image + ": policy blocks it: " + reasons(verdict.Verdict)))}
	}
	fmt.Fprintf(os.Stderr, "pratique: %s: policy allows it\n", printable(g.Image))
	return nil
}

// reasons lists the first few.
func reasons(v api.Verdict) string {
	var met []string
	for _, r := range v.Reasons {
		if about := cmp.Or(r.Vulnerability, r.Message); !slices.Contains(met, about) {
			met = append(met, about)
		}
	}
	return some(met)
}

func (g *gate) writer() (func(io.Writer, report.Report) error, error) {
	switch g.Output {
	case "table":
		return func(w io.Writer, r report.Report) error {
			return report.Table(w, r, report.TableOptions{Color: colored(os.Stdout)})
		}, nil
	case "json":
		return report.JSON, nil
	case "sarif":
		return report.SARIF, nil
	}
	return nil, fmt.Errorf("--output: want table, json or sarif, got %q", g.Output)
}

// ask is the server to ask of an image, and the image as it knows it; given may be "".
func ask(given, image string) (server, name string, err error) {
	text := strings.TrimPrefix(image, "docker://")
	first, rest, _ := strings.Cut(text, "/")
	hosted := strings.ContainsAny(first, ".:") || first == "localhost"
	if !hosted {
		if given == "" {
			return "", "", fmt.Errorf("%q: want HOST/REGISTRY/REPOSITORY:TAG, or --server", image)
		}
		return given, text, checkImage("this.server.invalid/" + text)
	}
	if err := checkImage(text); err != nil {
		return "", "", err
	}
	if given != "" {
		if u, err := url.Parse(given); err == nil && strings.EqualFold(u.Host, first) {
			text = rest
		}
		return given, text, nil // the server knows its other names
	}
	scheme := "https://"
	host := first
	if h, _, err := net.SplitHostPort(first); err == nil {
		host = h
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "localhost" || ip != nil && ip.IsLoopback() {
		scheme = "http://"
	}
	return scheme + first, rest, nil
}

func checkImage(text string) error {
	named, err := reference.ParseNormalizedNamed(text)
	text = strings.TrimPrefix(text, "this.server.invalid/")
	if err != nil {
		return fmt.Errorf("%q: %w", text, err)
	}
	if !strings.Contains(reference.Path(named), "/") {
		return fmt.Errorf("%q: want REGISTRY/REPOSITORY after the host", text)
	}
	return nil
}

// apiKey is the API key that is given, or in a file.
func apiKey(given, file string, in io.Reader) (string, error) {
	switch file {
	case "":
		return given, nil
	case "-":
	default:
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("--api-key-file: %w", err)
		}
		defer f.Close()
		in = f
	}
	key, err := readPassword(in)
	if err != nil {
		return "", fmt.Errorf("--api-key-file: %w", err)
	}
	if key == "" {
		return "", fmt.Errorf("--api-key-file: %s is empty", file)
	}
	return key, nil
}

// explainAnswer adds what can be done where the key is lacking that a variable gives.
func explainAnswer(err error, key, variable string) error {
	text := err.Error()
	var answer *client.Error
	if errors.As(err, &answer) && answer.Status == 401 {
		text += "; give an API key by " + variable + " or --api-key-file"
		if key != "" {
			text = fmt.Sprintf("%s; the API key is not right, or has expired", strings.TrimSuffix(err.Error(), "."))
		}
	}
	return &foreignError{printable(text), err}
}
