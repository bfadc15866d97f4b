// Command bench measures what speed Pratique claims to have, each figure beside
// the floor or the peers on the same bytes in the same run, and prints tables in
// Markdown. Use it through `make bench`; docs/performance.md explains the tables.
//
// A figure is the best of several turns, since other work on the machine only
// ever adds; floor, peers and Pratique take turns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what the person at the keyboard chose.
type options struct {
	program string // the binary to measure
	data    string // folder of real data
	turns   int
	blob    int64   // bytes of the blob that goes up and down
	size    float64 // of the made-up feeds and images, 1 being all
	engine  string  // "" for all
	dir     string
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/pratique", "the program to measure")
	flag.StringVar(&o.data, "data", realData(), "folder with real images and feeds")
	flag.IntVar(&o.turns, "turns", 5, "turns of which the best counts")
	flag.Int64Var(&o.blob, "blob", 600_000_000, "bytes of the blob that is pushed and pulled")
	flag.Float64Var(&o.size, "size", 1, "how large the made-up feeds and images are; 0.05 takes a minute")
	flag.StringVar(&o.engine, "engine", "", "sqlite or postgres, to measure scale and workflow on one alone")
	profile := flag.String("cpuprofile", "", "file to write a processor profile of this program to")
	only := flag.String("only", "", "what to measure, separated by commas: "+strings.Join(names(), ", ")+"; all where empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := profiled(*profile, func() error { return run(ctx, o, *only) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func profiled(name string, f func() error) (err error) {
	if name == "" {
		return f()
	}
	out, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return f()
}

func realData() string {
	if dir := os.Getenv("PRATIQUE_REAL_DATA"); dir != "" {
		return dir
	}
	return filepath.Join("..", "shared")
}

// sections are measured in this order.
var sections = []struct {
	name    string
	measure func(context.Context, options) error
}{
	{"layers", layers},
	{"scans", scans},
	{"memory", memory},
	{"registry", registries},
	{"matching", matching},
	{"clair", clairs},
	{"scale", scale},
	{"workflow", workflow},
}

func names() []string {
	var list []string
	for _, s := range sections {
		list = append(list, s.name)
	}
	return list
}

func run(ctx context.Context, o options, only string) (err error) {
	var chosen []string
	if only != "" {
		chosen = strings.Split(only, ",")
		for _, name := range chosen {
			if !slices.Contains(names(), name) {
				return fmt.Errorf("-only %q is none of %s", name, strings.Join(names(), ", "))
			}
		}
	}
	if o.program, err = filepath.Abs(o.program); err != nil {
		return err
	}
	if o.dir, err = os.MkdirTemp("", "pratique-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	fmt.Printf("%s, %s/%s, %d processors, best of %d turns\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.turns)
	for _, s := range sections {
		if len(chosen) > 0 && !slices.Contains(chosen, s.name) {
			continue
		}
		if err := s.measure(ctx, o); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// best is the shortest time that something took.
type best time.Duration

func (b *best) of(f func() error) error {
	began := time.Now()
	if err := f(); err != nil {
		return err
	}
	b.took(time.Since(began))
	return nil
}

func (b *best) took(d time.Duration) {
	if *b == 0 || best(d) < *b {
		*b = best(d)
	}
}

func (b best) ms() string      { return fmt.Sprintf("%.1f ms", time.Duration(b).Seconds()*1000) }
func (b best) seconds() string { return fmt.Sprintf("%.2f s", time.Duration(b).Seconds()) }

// table prints a table as soon as its rows come.
type table struct{}

func newTable(title string, columns ...string) table {
	fmt.Printf("\n## %s\n\n", title)
	var t table
	t.row(columns...)
	t.row(slices.Repeat([]string{"---"}, len(columns))...)
	return t
}

func (table) row(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
