package app

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestCounting(t *testing.T) {
	broken := errors.New("the disk is full")
	var said bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	answers := []struct {
		left int
		err  error
	}{{3, nil}, {0, broken}, {2, nil}, {1, nil}, {0, nil}, {0, nil}}
	asked := 0
	c := counting{log: slog.New(slog.NewTextHandler(&said, nil)), pause: time.Millisecond, count: func(context.Context) (int, error) {
		a := answers[asked]
		if asked++; asked == len(answers) {
			stop()
		}
		return a.left, a.err
	}}
	if err := c.run(ctx); err != nil {
		t.Fatal(err)
	}
	if asked != len(answers) {
		t.Errorf("counted %d times", asked)
	}
	var got []string
	for line := range strings.Lines(said.String()) {
		got = append(got, line[strings.Index(line, "level="):])
	}
	want := []string{"left=3", "the disk is full", "left=2", "left=1", "figures are counted"}
	if len(got) != len(want) {
		t.Fatalf("said %q", got)
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("said %q, want %q", got[i], want[i])
		}
	}
}
