package assess_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// memory is a GateStore that keeps everything in maps and counts how often it
// is asked for findings.
type memory struct {
	mu        sync.Mutex
	policies  map[string]assess.Policy
	images    map[string][]string // manifest -> images; itself where absent
	findings  map[string][]match.Finding
	decisions []assess.Decision
	fails     error
	asked     int
	// enter and leave, where not nil, hold a reader of findings.
	enter, leave chan struct{}
}

func (m *memory) ImagesToPull(_ context.Context, _, _, digest string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if images, ok := m.images[digest]; ok {
		return images, nil
	}
	return []string{digest}, nil
}

func (m *memory) RegistryPolicy(_ context.Context, registry string) (assess.Policy, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.policies[registry], nil
}

func (m *memory) ImageFindings(ctx context.Context, digest string) ([]match.Finding, error) {
	m.mu.Lock()
	m.asked++
	findings, err := m.findings[digest], m.fails
	m.mu.Unlock()
	if m.enter != nil {
		m.enter <- struct{}{}
		<-m.leave
	}
	return findings, errors.Join(err, ctx.Err())
}

func (m *memory) LiveDecisions(_ context.Context, _ []int64, _ []assess.Place, t time.Time) ([]assess.Decision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var live []assess.Decision
	for _, d := range m.decisions {
		if d.ExpiresAt.IsZero() || d.ExpiresAt.After(t) {
			live = append(live, d)
		}
	}
	return live, nil
}

func (m *memory) decide(decisions ...assess.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decisions = decisions
}

func (m *memory) reads() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// clock is a time that only tests move.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(noon.UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

func newGate(t *testing.T) (*memory, *clock, *assess.Gate) {
	t.Helper()
	m := &memory{
		policies: map[string]assess.Policy{},
		images:   map[string][]string{"sha256:artifact": nil, "sha256:index": {"sha256:aa", "sha256:bb"}},
		findings: map[string][]match.Finding{
			"sha256:aa": {finding(1, "CVE-1", advisory.Critical, "musl")},
			"sha256:bb": {finding(2, "CVE-2", advisory.High, "zlib")},
		},
	}
	c := newClock()
	return m, c, assess.NewGate(m, assess.GateOptions{Now: c.now})
}

func blocked(t *testing.T, err error) bool {
	t.Helper()
	var refusal *assess.BlockedError
	if err != nil && !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	return err != nil
}

func TestGateNamesWhatBlocks(t *testing.T) {
	m, _, gate := newGate(t)
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	err := gate.Check(t.Context(), "main", "app", "sha256:aa")
	want := "image main/app@sha256:aa is blocked by policy: CVE-1 (critical, musl 1.0, Block)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestBlockedErrorIsShort(t *testing.T) {
	reasons := make([]assess.Reason, 1000)
	for i := range reasons {
		reasons[i] = assess.Reason{Vulnerability: fmt.Sprintf("CVE-%d", i), State: "Block"}
	}
	got := (&assess.BlockedError{Place: place, Reasons: reasons}).Error()
	if !strings.HasSuffix(got, " and 990 more") || len(got) > 1000 {
		t.Errorf("got %d characters: %s", len(got), got)
	}
}

func TestGateAnswersFromMemory(t *testing.T) {
	m, c, gate := newGate(t)
	check := func() { blocked(t, gate.Check(t.Context(), "main", "app", "sha256:aa")) }
	for range 100 {
		check()
	}
	if got := m.reads(); got != 1 {
		t.Errorf("findings were read %d times within the age, want 1", got)
	}
	c.advance(time.Second)
	check()
	if got := m.reads(); got != 2 {
		t.Errorf("findings were read %d times after the age, want 2", got)
	}
	gate.Invalidate()
	check()
	if got := m.reads(); got != 3 {
		t.Errorf("findings were read %d times after a change, want 3", got)
	}
}

func TestGateFollowsChangesAndTime(t *testing.T) {
	m, c, gate := newGate(t)
	pull := func() bool { t.Helper(); return blocked(t, gate.Check(t.Context(), "main", "app", "sha256:aa")) }
	if pull() {
		t.Error("an unassessed finding blocks")
	}
	block := decision(1, assess.Everywhere, "", "Block")
	block.ExpiresAt = noon.Add(300 * time.Millisecond)
	m.decide(block)
	gate.Invalidate()
	if !pull() {
		t.Error("Block does not block")
	}
	c.advance(299 * time.Millisecond)
	if !pull() {
		t.Error("Block ends before its expiry")
	}
	c.advance(time.Millisecond) // well within the age of an answer
	if pull() {
		t.Error("Block outlives its expiry")
	}
	m.decide(decision(2, assess.Everywhere, "", "Block")) // by another process
	c.advance(time.Second)
	if !pull() {
		t.Error("another process's Block is not noticed after a second")
	}
}

func TestGateOfManifestsThatAreNotOneImage(t *testing.T) {
	m, _, gate := newGate(t)
	block := decision(1, assess.Everywhere, "", "Block")
	other := block
	other.AssessmentID, other.VulnerabilityID = 2, 2
	for _, test := range []struct {
		name      string
		digest    string
		decisions []assess.Decision
		want      bool
	}{
		{"an artifact", "sha256:artifact", []assess.Decision{block, other}, false},
		{"an index with one image blocked", "sha256:index", []assess.Decision{block}, false},
		{"an index with all images blocked", "sha256:index", []assess.Decision{block, other}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			m.decide(test.decisions...)
			gate.Invalidate()
			if got := blocked(t, gate.Check(t.Context(), "main", "app", test.digest)); got != test.want {
				t.Errorf("blocked: got %t, want %t", got, test.want)
			}
		})
	}
}

func TestGateDoesNotRememberFailures(t *testing.T) {
	m, _, gate := newGate(t)
	m.fails = errors.New("the database is away")
	err := gate.Check(t.Context(), "main", "app", "sha256:aa")
	var refusal *assess.BlockedError
	if !errors.Is(err, m.fails) || errors.As(err, &refusal) {
		t.Errorf("got %v, want the failure and no verdict", err)
	}
	m.fails = nil
	if err := gate.Check(t.Context(), "main", "app", "sha256:aa"); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}

func TestGateComputesOnceForManyPulls(t *testing.T) {
	m, _, gate := newGate(t)
	m.enter, m.leave = make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	var pulls sync.WaitGroup
	pulls.Go(func() { blocked(t, gate.Check(ctx, "main", "app", "sha256:aa")) })
	<-m.enter
	leave() // the first client goes; those who wait must not suffer
	for range 20 {
		pulls.Go(func() { blocked(t, gate.Check(t.Context(), "main", "app", "sha256:aa")) })
	}
	close(m.leave)
	pulls.Wait()
	if got := m.reads(); got != 1 {
		t.Errorf("findings were read %d times, want 1", got)
	}
}

func TestGateDoesNotAnswerFromBeforeAChange(t *testing.T) {
	m, _, gate := newGate(t)
	m.enter, m.leave = make(chan struct{}), make(chan struct{})
	var early sync.WaitGroup
	early.Go(func() { blocked(t, gate.Check(t.Context(), "main", "app", "sha256:aa")) })
	<-m.enter // has read the findings, and no decision stands yet
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	gate.Invalidate()
	late := make(chan bool)
	go func() { late <- blocked(t, gate.Check(t.Context(), "main", "app", "sha256:aa")) }()
	<-m.enter // the second check did not join the first
	close(m.leave)
	if !<-late {
		t.Error("a check that began after the change was answered from before it")
	}
	early.Wait()
}

func TestGateBoundsItsMemory(t *testing.T) {
	m, c, _ := newGate(t)
	gate := assess.NewGate(m, assess.GateOptions{Now: c.now, MaxAnswers: 10})
	for i := range 1000 {
		blocked(t, gate.Check(t.Context(), "main", "app", fmt.Sprintf("sha256:%d", i)))
		if got := gate.Answers(); got > 10 {
			t.Fatalf("%d answers are remembered, want 10 at most", got)
		}
	}
}

func BenchmarkGateHotPath(b *testing.B) {
	m := &memory{findings: map[string][]match.Finding{"sha256:aa": {finding(1, "CVE-1", advisory.Critical, "musl")}}}
	gate := assess.NewGate(m, assess.GateOptions{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := gate.Check(b.Context(), "main", "app", "sha256:aa"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
