// Command pratique is a private container registry that knows what is in every
// image it holds, and which of it is vulnerable.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker (make build).
var version = "devel"

// commands is the command line.
type commands struct {
	Serve   serve            `cmd:"" help:"Run the server: registry, REST interface, Clair API."`
	Scan    scan             `cmd:"" help:"Scan an image, wherever it is."`
	Gate    gate             `cmd:"" help:"Ask a server whether an image may be pulled, for CI."`
	Promote promoting        `cmd:"" help:"Copy an image to another registry of the same server, if its policy lets it in."`
	Explain explain          `cmd:"" help:"Say why an image is, or is not, affected by a vulnerability."`
	Feeds   feeds            `cmd:"" help:"Update and list the feeds of advisories."`
	Admin   admin            `cmd:"" help:"Look after an installation: its decisions, and their history."`
	Config  configure        `cmd:"" help:"Turn the configuration of another program into one of ours."`
	Version kong.VersionFlag `help:"Print the version and exit."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx))
}

func run(ctx context.Context) int {
	var cli commands
	parser, err := kong.New(&cli,
		kong.Name("pratique"),
		kong.Description("A private container registry that knows what is in every image it holds, and which of it is vulnerable."),
		kong.UsageOnError(), kong.Vars{"version": version},
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pratique:", err)
		return 1
	}
	command, err := parser.Parse(os.Args[1:])
	if err != nil {
		var usage *kong.ParseError
		if errors.As(err, &usage) {
			fmt.Fprintln(os.Stderr, "pratique:", usage)
			return usage.ExitCode()
		}
		fmt.Fprintln(os.Stderr, "pratique:", err)
		return 1
	}
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "pratique:", err)
		var status interface{ Status() int }
		if errors.As(err, &status) {
			return status.Status()
		}
		return 1
	}
	return 0
}
