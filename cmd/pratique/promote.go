package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/distribution/reference"

	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/client"
)

// promoting is `pratique promote`. It reads no settings of a server.
type promoting struct {
	Server     string `name:"server" env:"PRATIQUE_PROMOTE_SERVER" placeholder:"URL" help:"The server to ask. Without one, it is the image's host, by https; localhost and loopback addresses by http."`
	APIKey     string `name:"api-key" env:"PRATIQUE_PROMOTE_API_KEY" placeholder:"KEY" help:"API key. Other users of the machine can read a flag: better use the environment or api-key-file."`
	APIKeyFile string `name:"api-key-file" env:"PRATIQUE_PROMOTE_API_KEY_FILE" placeholder:"FILE" help:"File with the API key; - is standard input."`
	Comment    string `name:"comment" short:"m" placeholder:"TEXT" help:"Why, for the history."`
	DryRun     bool   `name:"dry-run" help:"Say what it comes to, and change nothing."`
	Insecure   bool   `name:"insecure" env:"PRATIQUE_PROMOTE_INSECURE" help:"Allow certificates that nobody vouches for."`
	From       string `arg:"" help:"HOST/REGISTRY/REPOSITORY with :TAG or @DIGEST; with --server the HOST may be left out."`
	To         string `arg:"" help:"REGISTRY, or REGISTRY/REPOSITORY with or without :TAG, on the same server. What is left out is as in FROM."`
}

// BeforeReset has an empty environment variable count as none.
func (*promoting) BeforeReset(ctx *kong.Context) error {
	emptyIsNone(ctx, "PRATIQUE_PROMOTE_")
	return nil
}

// Run promotes, and says by its status whether it was done: 0, or 2 where policy
// keeps the image out.
func (p *promoting) Run(ctx context.Context) error {
	err := p.run(ctx)
	if ctx.Err() != nil {
		return &statusError{statusInterrupted, errors.New("interrupted")}
	}
	return err
}

func (p *promoting) run(ctx context.Context) error {
	server, from, err := ask(p.Server, p.From)
	if err != nil {
		return err
	}
	request := api.PromotionRequest{Comment: p.Comment}
	if err := p.places(&request, from); err != nil {
		return err
	}
	key, err := apiKey(p.APIKey, p.APIKeyFile, os.Stdin)
	if err != nil {
		return err
	}
	c, err := client.New(server, client.Options{Key: key, Insecure: p.Insecure, UserAgent: "pratique/" + version})
	if err != nil {
		return fmt.Errorf("--server: %w", err)
	}
	plan, err := c.PlanPromotion(ctx, request)
	if err != nil {
		return explainAnswer(err, key, "PRATIQUE_PROMOTE_API_KEY")
	}
	to := printable(named(plan.To))
	for _, w := range plan.Verdict.Warnings {
		fmt.Fprintln(os.Stderr, "pratique: warning:", printable(w.Message))
	}
	if plan.Verdict.Blocked {
		return &statusError{statusFailed, errors.New(to + ": policy keeps it out: " + printable(reasons(plan.Verdict)))}
	}
	if p.DryRun {
		fmt.Printf("%s would come to %s: %d manifests\n", plan.Digest, to, plan.Manifests)
		if plan.Replaces != "" && plan.Replaces != plan.Digest {
			fmt.Printf("%s would no longer be %s\n", to, plan.Replaces)
		}
		return nil
	}
	done, err := c.Promote(ctx, request)
	if err != nil {
		return explainAnswer(err, key, "PRATIQUE_PROMOTE_API_KEY")
	}
	fmt.Printf("%s is %s: %d manifests\n", to, done.Digest, done.Manifests)
	return nil
}

// named is how an image is named.
func named(n api.ImageName) string {
	if n.Tag == "" {
		return n.Registry + "/" + n.Repository
	}
	return n.Registry + "/" + n.Repository + ":" + n.Tag
}

// places reads where the image is and where it goes; from may have the server's host.
func (p *promoting) places(r *api.PromotionRequest, from string) error {
	const host = "this.server.invalid/"
	if first, _, _ := strings.Cut(from, "/"); !strings.ContainsAny(first, ".:") && first != "localhost" {
		from = host + from
	}
	source, err := reference.ParseNormalizedNamed(from)
	if err != nil {
		return fmt.Errorf("%q: %w", p.From, err)
	}
	r.From.Registry, r.From.Repository, _ = strings.Cut(reference.Path(source), "/")
	if d, ok := source.(reference.Digested); ok {
		r.From.Digest = d.Digest().String()
	} else {
		r.From.Tag = reference.TagNameOnly(source).(reference.Tagged).Tag() //nolint:forcetypeassert // it has one now
	}
	var rest string
	var deeper bool
	if r.To.Registry, rest, deeper = strings.Cut(p.To, "/"); !deeper {
		return nil
	}
	target, err := reference.ParseNormalizedNamed(host + r.To.Registry + "/" + rest)
	if err != nil || strings.Contains(p.To, "@") {
		return fmt.Errorf("%q: want REGISTRY/REPOSITORY:TAG, without a host", p.To)
	}
	r.To.Registry, r.To.Repository, _ = strings.Cut(reference.Path(target), "/")
	if t, ok := target.(reference.Tagged); ok {
		r.To.Tag = t.Tag()
	}
	return nil
}
