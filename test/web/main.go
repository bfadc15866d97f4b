// Command web is a server for the tests of the web interface: the whole program
// on embedded storage in a temporary folder, with feeds and images of our own
// making, and a clock that the tests move.
//
// It prints a line of JSON with its addresses, and ends with its standard input.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

const password = "harbour-master"

func main() {
	back := flag.Duration("back", 0, "how far the clock begins in the past")
	logs := flag.String("log", "", "a file for the server's log")
	flag.Parse()
	if err := run(*back, *logs); err != nil {
		fmt.Fprintln(os.Stderr, "test/web:", err)
		os.Exit(1)
	}
}

// harbour is the running program with what tests do to it.
type harbour struct {
	clock *program.Clock
	feeds string
	url   string
}

func run(back time.Duration, logs string) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	dir, err := os.MkdirTemp("", "pratique-web-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	log := io.Discard
	if logs != "" {
		file, err := os.Create(logs)
		if err != nil {
			return err
		}
		defer file.Close()
		log = file
	}
	h := &harbour{clock: new(program.Clock), feeds: filepath.Join(dir, "feeds")}
	h.clock.Advance(-back)
	if err := writeFeeds(h.feeds, 1); err != nil {
		return err
	}
	server, err := program.Start(h.clock, slog.New(slog.NewTextHandler(log, nil)), filepath.Join(dir, "data"), password,
		"--feeds-mirror", h.feeds, "--feeds", "debian,pypi,epss,kev", "--no-blob-fsync")
	if err != nil {
		return err
	}
	h.url = server.URL
	control, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	hand := &http.Server{Handler: h.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = hand.Serve(control) }()
	if err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"url": h.url, "clair": server.Clair, "control": "http://" + control.Addr().String(), "password": password,
	}); err != nil {
		return err
	}
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		close(over)
	}()
	select {
	case <-over:
	case err := <-server.Ended():
		return fmt.Errorf("the server ended by itself: %w", err)
	}
	return errors.Join(hand.Close(), server.Stop())
}

// handler does what the tests ask for.
func (h *harbour) handler() http.Handler {
	mux := http.NewServeMux()
	do := func(pattern string, act func(r *http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			answer, err := act(r)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			_ = json.NewEncoder(w).Encode(answer) // the test says so where it has gone
		})
	}
	do("POST /push", func(r *http.Request) (any, error) {
		q := r.URL.Query()
		edition, err := strconv.Atoi(q.Get("edition"))
		if err != nil {
			return nil, err
		}
		return h.push(r.Context(), q.Get("repository"), q.Get("tag"), edition)
	})
	do("POST /advance", func(r *http.Request) (any, error) {
		d, err := time.ParseDuration(r.URL.Query().Get("by"))
		if err != nil {
			return nil, err
		}
		h.clock.Advance(d)
		return h.clock.Now(), nil
	})
	do("POST /pull", func(r *http.Request) (any, error) {
		q := r.URL.Query()
		if _, err := h.registry().Pull(r.Context(), q.Get("repository"), q.Get("tag")); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	do("POST /fill", func(r *http.Request) (any, error) { return h.fill(r.Context()) })
	return mux
}

func (h *harbour) registry() sample.Registry {
	return sample.Registry{URL: h.url, User: "admin", Password: password}
}
