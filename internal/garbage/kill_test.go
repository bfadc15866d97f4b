package garbage_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/store/storetest"
)

// The environment of a process that is going to be killed.
const (
	childDatabase = "PRATIQUE_GARBAGE_CHILD_DATABASE"
	childFolder   = "PRATIQUE_GARBAGE_CHILD_FOLDER"
	childName     = "PRATIQUE_GARBAGE_CHILD_NAME"
	childAhead    = "PRATIQUE_GARBAGE_CHILD_AHEAD"
)

// TestChild pushes, deletes, collects, brings back from the trash and empties it
// until it is killed, and tells what it was told.
func TestChild(t *testing.T) {
	location := os.Getenv(childDatabase)
	if location == "" {
		t.Skip("it is run by TestKill")
	}
	ahead, err := strconv.ParseInt(os.Getenv(childAhead), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	y := newYardAt(t, location, os.Getenv(childFolder), 1, 0, 3)
	y.clock.ahead.Store(ahead)
	own := os.Getenv(childName)
	y.tell = func(what, repository, digest string, parts []string) {
		fmt.Println(what, repository, digest, strings.Join(parts, "|"))
	}
	y.choose = func() string { return own }
	fmt.Println("READY")
	var all sync.WaitGroup
	all.Go(func() {
		for {
			y.collect(context.Background(), y.replicas[0])
			if _, err := y.store.ExpireTrash(context.Background(), y.clock.Now()); err != nil {
				t.Error(err)
			}
		}
	})
	for worker := range 3 {
		all.Go(func() {
			for !t.Failed() {
				switch rand.IntN(20) {
				case 0, 1, 2, 3, 4, 5:
					y.remove()
				case 6, 7:
					y.restore()
				case 8:
					y.empty()
				default:
					y.push(worker)
				}
			}
			os.Exit(1) // what was lost is in the output
		})
	}
	all.Wait()
}

// child is a process that was started.
type child struct {
	cmd   *exec.Cmd
	ready chan struct{}
	done  chan struct{}
}

// begin starts a process and takes note of what it tells.
func (y *yard) begin(location, name string) child {
	c := child{exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v"), make(chan struct{}), make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childDatabase+"="+location, childFolder+"="+y.root, childName+"="+name,
		childAhead+"="+strconv.FormatInt(y.clock.ahead.Load(), 10))
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		y.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		y.t.Fatal(err)
	}
	go func() {
		defer close(c.done)
		isReady := false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			line := lines.Text()
			fields := strings.SplitN(line, " ", 4)
			switch {
			case line == "READY":
				isReady = true
				close(c.ready)
			case (fields[0] == "PUSHED" || fields[0] == "RESTORED") && len(fields) == 4:
				y.note(fields[1], fields[2], strings.Split(fields[3], "|"))
				if fields[0] == "RESTORED" {
					y.restored.Add(1)
				}
			case fields[0] == "DELETING" && len(fields) == 4:
				y.note(fields[1], fields[2], nil)
			case strings.Contains(line, "race_test.go"):
				y.t.Errorf("a child: %s", line)
			}
		}
		if !isReady {
			close(c.ready)
		}
	}()
	return c
}

// TestKill kills whole processes, each at any point of pushing, deleting, collecting,
// and of what is done with the trash. Whatever was answered before is there
// afterwards; what is in the trash still comes back, and can be pulled.
func TestKill(t *testing.T) {
	for engine, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			at := location(t)
			y := newYardAt(t, at, t.TempDir(), 1, 0, 3)
			rounds := max(6, operations(t)/1000)
			for range rounds {
				y.jump()
				children := []child{y.begin(at, "main/a"), y.begin(at, "main/b")}
				for _, c := range children {
					<-c.ready
					<-time.After(time.Duration(100+rand.IntN(300)) * time.Millisecond)
				}
				for _, c := range children {
					if err := c.cmd.Process.Kill(); err != nil {
						t.Error(err)
					}
					<-c.done
					_ = c.cmd.Wait() // it was killed
				}
			}
			pushed := 0
			for _, manifests := range y.pushed {
				pushed += len(manifests)
			}
			before := y.restored.Load()
			y.settle()
			t.Logf("%d times two processes were killed; %d manifests are there; %d came back from the trash before, %d afterwards",
				rounds, pushed, before, y.restored.Load()-before)
			if pushed == 0 || y.restored.Load() == 0 {
				t.Error("too little was done to tell")
			}
		})
	}
}
