package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a registry that runs on this machine.
type process struct {
	name, url string
	token     string // sent as Bearer where it is not empty
	idle      int64  // bytes of memory when it was ready
	cmd       *exec.Cmd
	log       *os.File
}

// launch starts a program and waits until it answers at ready.
func launch(ctx context.Context, o options, name, url, ready, program string, args ...string) (_ *process, err error) {
	log, err := os.CreateTemp(o.dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	p := &process{name: name, url: url, cmd: exec.CommandContext(ctx, program, args...), log: log}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = 15 * time.Second
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		status, _, err := p.do(ctx, http.MethodGet, ready, nil, 0, "", io.Discard)
		if err == nil && (status == http.StatusOK || status == http.StatusUnauthorized) {
			p.idle, err = p.memory("VmRSS")
			return p, err
		}
		select {
		case <-ctx.Done():
			said, _ := os.ReadFile(log.Name())
			return nil, fmt.Errorf("%s does not answer at %s: %w: %s", name, ready, err, tail(said))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil // peers end in various ways
	}
	return errors.Join(err, p.log.Close())
}

// memory reads a field of /proc/PID/status, in bytes: VmRSS is what is taken
// now, VmHWM the most that ever was.
func (p *process) memory(field string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("no %s in the status of %s", field, p.name)
}

// processor is the processor time that the process has used.
func (p *process) processor() (time.Duration, error) { return processorOf(p.cmd.Process.Pid, 2) }

// resetPeak makes VmHWM start anew.
func (p *process) resetPeak() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0)
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

var client = &http.Client{
	Timeout: 5 * time.Minute,
	Transport: &http.Transport{
		MaxIdleConnsPerHost: 64, DisableCompression: true, ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10,
	},
}

// do makes a request, copies the answer's body to out, and returns its status.
func (p *process) do(ctx context.Context, method, url string, body io.Reader, size int64, mediaType string, out io.Writer) (int, http.Header, error) {
	if body != nil {
		body = io.NopCloser(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	req.ContentLength = size
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, */*")
	if p.token != "" {
		req.Header.Set("Authorization", "Bearer "+p.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, res.Body, make([]byte, 256<<10))
	return res.StatusCode, res.Header, err
}
