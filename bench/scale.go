package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pratique/pratique/internal/store"
)

// scale measures feeds as large as the publishers' and, with them, a fleet of
// 100,000 images, on each engine.
func scale(ctx context.Context, o options) error {
	u := upstream{size: o.size}
	mirrors := [3]string{} // the first day, the same again in other bytes, the next day
	for i := range mirrors {
		mirrors[i] = filepath.Join(o.dir, fmt.Sprintf("mirror-%d", i))
		u.again, u.day = i == 1, i/2
		if err := u.write(mirrors[i]); err != nil {
			return err
		}
	}
	var documents int64
	err := filepath.WalkDir(mirrors[0], func(_ string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			documents += info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	fmt.Printf("\nFeeds and images are made up, at %g of their full number: %d advisories in %s of documents, of which %d differ on the next day.\n",
		o.size, u.advisories, megabytes(documents), u.changed)
	feeds := newTable("Feeds", "engine", "what", "time", "processor time of the program", "of the engine", "statements", "rate", "peak memory", "database")
	var rows [][]string
	for _, open := range o.engines() {
		d, err := open(o)
		if err != nil {
			fmt.Fprintln(os.Stderr, "not measured:", err)
			continue
		}
		fleet, err := scaleOn(ctx, o, d, mirrors, feeds)
		if err = errors.Join(err, d.close()); err != nil {
			return fmt.Errorf("%s: %w", d.engine, err)
		}
		rows = append(rows, fleet...)
	}
	t := newTable("A fleet of images", "engine", "what", "time", "processor time", "target", "of what size")
	for _, row := range rows {
		t.row(row...)
	}
	return nil
}

// cost is what something took.
type cost struct {
	wall            time.Duration
	program, engine time.Duration // of processor time
	peak            int64         // bytes of memory of the program
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// updates has the program update the made-up feeds from a mirror.
func updates(ctx context.Context, o options, d *database, mirror string) (c cost, err error) {
	cmd := exec.CommandContext(ctx, o.program, append([]string{"feeds", "update", "--data", filepath.Join(o.dir, "data"),
		"--database", d.url, "--feeds-mirror", mirror}, publishers...)...)
	before, err := d.processor()
	if err != nil {
		return c, err
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return c, err
	}
	// What getrusage tells of a child starts with the memory of its parent.
	watched := process{name: "feeds update", cmd: cmd}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for running := true; running; {
		select {
		case err = <-ended:
			running = false
		case <-time.After(10 * time.Millisecond):
			if peak, err := watched.memory("VmHWM"); err == nil { // else it has just ended
				c.peak = peak
			}
		}
	}
	if err != nil {
		return c, fmt.Errorf("feeds update: %w: %s", err, tail(said.Bytes()))
	}
	c.wall = time.Since(began)
	after, err := d.processor()
	if err != nil {
		return c, err
	}
	c.program, c.engine = cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime(), after-before
	return c, nil
}

// measured is what f costs in this process and in the engine.
func (d *database) measured(f func() error) (c cost, err error) {
	own := func() time.Duration {
		var used syscall.Rusage
		if e := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err == nil {
			err = e
		}
		return time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	engine, err := d.processor()
	if err != nil {
		return c, err
	}
	program, began := own(), time.Now()
	if err := f(); err != nil {
		return c, err
	}
	c.wall, c.program = time.Since(began), own()-program
	after, e := d.processor()
	c.engine = after - engine
	return c, errors.Join(err, e)
}

// scaleOn prints the rows on feeds and returns those on the fleet.
func scaleOn(ctx context.Context, o options, d *database, mirrors [3]string, feeds table) (fleet [][]string, err error) {
	note := func(what string, c cost) error {
		var statements int
		if err := d.sql.QueryRowContext(ctx, `select count(*) from advisories`).Scan(&statements); err != nil {
			return err
		}
		size, err := d.size(ctx)
		if err != nil {
			return err
		}
		engine := "-"
		if d.server != nil {
			engine = seconds(c.engine)
		}
		feeds.row(d.engine, what, seconds(c.wall), seconds(c.program), engine, fmt.Sprint(statements),
			fmt.Sprintf("%.0f/s", float64(statements)/c.wall.Seconds()), megabytes(c.peak), megabytes(size))
		return nil
	}
	for _, step := range []struct{ what, mirror string }{
		{"first import", mirrors[0]}, {"the same documents", mirrors[0]}, {"other documents that say the same", mirrors[1]},
	} {
		c, err := updates(ctx, o, d, step.mirror)
		if err != nil {
			return nil, err
		}
		if err := note(step.what, c); err != nil {
			return nil, err
		}
	}
	if err := d.settle(ctx); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, d.url, store.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f := &fleetOf{database: d, store: s, size: o.size}
	add := func(what, target, of string, c cost) {
		f.rows = append(f.rows, []string{d.engine, what, fmt.Sprintf("%.1f ms", c.wall.Seconds()*1000), fmt.Sprintf("%.1f ms", (c.program+c.engine).Seconds()*1000), target, of})
	}
	if err := f.fill(ctx, add); err != nil {
		return nil, err
	}
	if err := f.newImages(ctx, add); err != nil {
		return nil, err
	}
	if err := f.reports(ctx, add); err != nil {
		return nil, err
	}
	var before int
	if err := d.sql.QueryRowContext(ctx, `select count(*) from matches where gone_at is null`).Scan(&before); err != nil {
		return nil, err
	}
	c, err := updates(ctx, o, d, mirrors[2])
	if err != nil {
		return nil, err
	}
	if err := note("the next day, with the fleet", c); err != nil {
		return nil, err
	}
	var changed int
	if err := d.sql.QueryRowContext(ctx, `select count(*) from matches where gone_at is not null`).Scan(&changed); err != nil {
		return nil, err
	}
	add("the next day's documents: every finding right", "5 s", fmt.Sprintf("%d matches, %d ended", before, changed), c)
	if err := f.count(ctx, "… and then lists and figures", add); err != nil {
		return nil, err
	}
	if err := f.newVulnerability(ctx, add); err != nil {
		return nil, err
	}
	return f.rows, f.count(ctx, "… and then lists and figures", add)
}

// median is the one in the middle by time.
func median(list []cost) cost {
	slices.SortFunc(list, func(a, b cost) int { return int(a.wall - b.wall) })
	return list[len(list)/2]
}
