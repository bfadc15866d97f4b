// Package program runs the whole program in this process, on free ports, with a
// clock that tests move.
package program

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/alecthomas/kong"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
)

// Clock is the real time plus what tests add. The zero value shows the real time.
type Clock struct {
	mu    sync.Mutex
	added time.Duration
}

// Now is what it shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.added)
}

// Advance puts it forward, or back where d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.added += d
}

// Program is a running `pratique serve`.
type Program struct {
	// URL, Clair and Health are its addresses: of the registry with the REST
	// interface, of the Clair API, and of health and metrics.
	URL, Clair, Health string

	end   context.CancelFunc
	ended chan error
}

// Start runs `pratique serve --data DATA` with the administrator's password and
// more arguments. Feeds are updated only when that is asked for.
func Start(clock *Clock, log *slog.Logger, data, password string, args ...string) (*Program, error) {
	var settings config.Serve
	parser, err := kong.New(&settings)
	if err != nil {
		return nil, err
	}
	if _, err := parser.Parse(append([]string{
		"--data", data, "--listen", "127.0.0.1:0", "--clair-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0",
		"--admin-password", password, "--feeds-schedule", "off",
	}, args...)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.Open(ctx, settings, app.Options{Version: "1.0.0-test", Log: log, Now: clock.Now})
	if err != nil {
		cancel()
		return nil, err
	}
	p := &Program{
		URL: "http://" + a.Address("listen"), Clair: "http://" + a.Address("clair-listen"), Health: "http://" + a.Address("health-listen"),
		end: cancel, ended: make(chan error, 1),
	}
	go func() { p.ended <- a.Run(ctx) }()
	return p, nil
}

// Ended receives the error with which the program ends, once.
func (p *Program) Ended() <-chan error { return p.ended }

// Stop has it end, and waits for that. It is called once, by whoever does not wait for Ended.
func (p *Program) Stop() error {
	p.end()
	return <-p.ended
}
