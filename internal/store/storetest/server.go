package storetest

import (
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Server is a PostgreSQL server that ends with this process, at the latest.
type Server struct {
	// URL is that of its database.
	URL string
	// PID is of its first process, whose children do the work.
	PID int

	cmd *exec.Cmd
	dir string
}

// StartServer starts a server of the system's packages, with settings such as
// "fsync=off", on a database of its own.
func StartServer(settings ...string) (s *Server, err error) {
	started := make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the
		// server, so that thread is kept for the life of the process.
		runtime.LockOSThread()
		s, err = start(settings)
		close(started)
		select {}
	}()
	<-started
	return s, err
}

// Stop ends the server and removes what it stored.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGINT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := s.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return os.RemoveAll(s.dir)
}

func start(settings []string) (_ *Server, err error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pratique-postgres-")
	if err != nil {
		return nil, err
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 { // the server refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return nil, err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	if out, err := run("initdb", "-D", dir+"/data", "-U", "pratique", "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	args := []string{"-D", dir + "/data", "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	serve := run("postgres", args...)
	if err := serve.Start(); err != nil {
		return nil, err
	}
	s := &Server{URL: fmt.Sprintf("postgres://pratique@127.0.0.1:%d/postgres?sslmode=disable", port), PID: serve.Process.Pid, cmd: serve, dir: dir}
	db, err := sql.Open("pgx", s.URL)
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the server on port %d does not answer: %w", port, err), s.Stop())
		}
	}
}

func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no server is installed (Debian's package postgresql): %w", err)
	}
	return filepath.Dir(path), nil
}
