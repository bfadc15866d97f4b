package main

import (
	"fmt"
	"io"
	"os"

	"github.com/pratique/pratique/internal/config"
)

// configure is about configuration files.
type configure struct {
	Import struct {
		Clair importClair `cmd:"" help:"Turn the config.yaml of Clair 2.x or 4.x into ours, and say what became of each key."`
	} `cmd:"" help:"Take over the configuration of another program."`
}

type importClair struct {
	File   string `arg:"" help:"Clair's config.yaml; - is the standard input."`
	Output string `short:"o" placeholder:"FILE" help:"Where ours is written, which must not exist; the standard output where it is left out."`
}

// Run writes our configuration, and what became of each key to standard error.
func (c *importClair) Run() error {
	in := os.Stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	const most = 2 << 20 // more is refused below
	content, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	text, keys, err := config.ImportClair(content)
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Output == "" {
		fmt.Print(text)
	} else if err := writeNew(c.Output, text); err != nil {
		return err
	}
	for _, k := range keys {
		setting := k.Setting
		if setting == "" {
			setting = "-"
		}
		fmt.Fprintf(os.Stderr, "%-45s %-24s %s\n", k.Key, setting, k.Note)
	}
	return nil
}

// writeNew writes a file that others cannot read: it may hold secrets.
func writeNew(name, text string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	_, err = io.WriteString(f, text)
	return err
}
