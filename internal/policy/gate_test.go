package policy_test

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
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

// memory is a GateStore that keeps everything in maps and counts how often it
// is asked for findings.
type memory struct {
	mu         sync.Mutex
	global     policy.Settings
	own        map[string]policy.Settings
	images     map[string][]string // manifest -> images; itself where absent
	known      map[string]image.Image
	findings   map[string][]match.Finding
	decisions  []assess.Decision
	exceptions []policy.Exception
	names      map[string]policy.Names
	data       map[string]image.Data
	content    map[string]string
	fails      error
	asked      int
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

func (m *memory) PolicySettings(_ context.Context, registry string) (global, own policy.Settings, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.global, m.own[registry], nil
}

func (m *memory) RegistrySources(context.Context, string) ([]string, error) { return nil, nil }

func (m *memory) KnownImage(_ context.Context, digest string) (image.Image, bool, error) {
	img, ok := m.known[digest]
	return img, ok, nil
}

func (m *memory) FeedData(context.Context, []string) (map[string]image.Data, error) {
	return m.data, nil
}

func (m *memory) ManifestByDigest(_ context.Context, digest string) (string, []byte, error) {
	return "application/vnd.oci.image.manifest.v1+json", []byte(m.content[digest]), nil
}

func (m *memory) LiveExceptions(_ context.Context, _ string, t time.Time) (live []policy.Exception, err error) {
	for _, e := range m.exceptions {
		if e.Live(t) {
			live = append(live, e)
		}
	}
	return live, nil
}

func (m *memory) PullNames(_ context.Context, _, _, digest string) (policy.Names, error) {
	return m.names[digest], nil
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

func newGate(t *testing.T) (*memory, *clock, *policy.Gate) {
	t.Helper()
	m := &memory{
		own:    map[string]policy.Settings{},
		images: map[string][]string{"sha256:artifact": nil, "sha256:index": {"sha256:aa", "sha256:bb"}},
		findings: map[string][]match.Finding{
			"sha256:aa": {finding(1, "CVE-1", advisory.Critical, "musl")},
			"sha256:bb": {finding(2, "CVE-2", advisory.High, "zlib")},
		},
		known: map[string]image.Image{
			"sha256:aa": {Digest: "sha256:aa", State: image.Done, CreatedAt: noon.AddDate(0, 0, -7), AnalysedAt: noon.AddDate(0, 0, -7)},
			"sha256:bb": {Digest: "sha256:bb", State: image.Done, CreatedAt: noon.AddDate(0, 0, -7), AnalysedAt: noon.AddDate(0, 0, -7)},
		},
		names: map[string]policy.Names{
			"sha256:aa": {Tags: []string{"1.0", "latest"}, Digests: []string{digestA, indexDigest}},
			"sha256:bb": {Tags: []string{"latest"}, Digests: []string{digestB, indexDigest}},
		},
	}
	c := newClock()
	return m, c, policy.NewGate(m, policy.GateOptions{Now: c.now})
}

var (
	noon        = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	digestA     = "sha256:" + strings.Repeat("a", 64)
	digestB     = "sha256:" + strings.Repeat("b", 64)
	indexDigest = "sha256:" + strings.Repeat("c", 64)
)

func finding(id int64, name string, severity advisory.Severity, pkg string) match.Finding {
	return match.Finding{
		VulnerabilityID: id, Vulnerability: name, Severity: severity,
		Package: inventory.Package{Name: pkg, Version: "1.0"}, FirstSeen: noon.Add(-time.Hour),
	}
}

func decision(id int64, kind assess.ScopeKind, value, typ string) assess.Decision {
	return assess.Decision{AssessmentID: id, VulnerabilityID: 1, Type: typ, Blocks: typ == "Block", Scope: assess.Scope{Kind: kind, Value: value}}
}

// pull is what asks for an image of main/app by tag.
func pull(digest string) policy.Pull {
	return policy.Pull{Place: assess.Place{Registry: "main", Repository: "app", Digest: digest}, Tag: "1"}
}

// check is the gate's answer to a pull by tag.
func check(ctx context.Context, gate *policy.Gate, digest string) error {
	_, err := gate.Check(ctx, pull(digest))
	return err
}

func blocked(t *testing.T, err error) bool {
	t.Helper()
	var refusal *policy.BlockedError
	if err != nil && !errors.As(err, &refusal) {
		t.Fatal(err)
	}
	return err != nil
}

func TestGateNamesWhatBlocks(t *testing.T) {
	m, _, gate := newGate(t)
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	err := check(t.Context(), gate, "sha256:aa")
	want := "image main/app@sha256:aa is blocked by policy: CVE-1 (critical, musl 1.0, Block)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestBlockedErrorIsShort(t *testing.T) {
	reasons := make([]policy.Reason, 1000)
	for i := range reasons {
		reasons[i] = policy.Reason{Message: fmt.Sprintf("CVE-%d (Block)", i)}
	}
	got := (&policy.BlockedError{Place: pull("sha256:aa").Place, Reasons: reasons}).Error()
	if !strings.HasSuffix(got, " and 990 more") || len(got) > 1000 {
		t.Errorf("got %d characters: %s", len(got), got)
	}
}

func TestGateAnswersFromMemory(t *testing.T) {
	m, c, gate := newGate(t)
	again := func() { blocked(t, check(t.Context(), gate, "sha256:aa")) }
	for range 100 {
		again()
	}
	if got := m.reads(); got != 1 {
		t.Errorf("findings were read %d times within the age, want 1", got)
	}
	c.advance(time.Second)
	again()
	if got := m.reads(); got != 2 {
		t.Errorf("findings were read %d times after the age, want 2", got)
	}
	gate.Invalidate()
	again()
	if got := m.reads(); got != 3 {
		t.Errorf("findings were read %d times after a change, want 3", got)
	}
}

func TestGateFollowsChangesAndTime(t *testing.T) {
	m, c, gate := newGate(t)
	pulled := func() bool { t.Helper(); return blocked(t, check(t.Context(), gate, "sha256:aa")) }
	if pulled() {
		t.Error("an unassessed finding blocks")
	}
	block := decision(1, assess.Everywhere, "", "Block")
	block.ExpiresAt = noon.Add(300 * time.Millisecond)
	m.decide(block)
	gate.Invalidate()
	if !pulled() {
		t.Error("Block does not block")
	}
	c.advance(299 * time.Millisecond)
	if !pulled() {
		t.Error("Block ends before its expiry")
	}
	c.advance(time.Millisecond) // well within the age of an answer
	if pulled() {
		t.Error("Block outlives its expiry")
	}
	m.decide(decision(2, assess.Everywhere, "", "Block")) // by another process
	c.advance(time.Second)
	if !pulled() {
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
			if got := blocked(t, check(t.Context(), gate, test.digest)); got != test.want {
				t.Errorf("blocked: got %t, want %t", got, test.want)
			}
		})
	}
}

func TestGateDoesNotRememberFailures(t *testing.T) {
	m, _, gate := newGate(t)
	m.fails = errors.New("the database is away")
	err := check(t.Context(), gate, "sha256:aa")
	var refusal *policy.BlockedError
	if !errors.Is(err, m.fails) || errors.As(err, &refusal) {
		t.Errorf("got %v, want the failure and no verdict", err)
	}
	m.fails = nil
	if err := check(t.Context(), gate, "sha256:aa"); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}

func TestGateComputesOnceForManyPulls(t *testing.T) {
	m, _, gate := newGate(t)
	m.enter, m.leave = make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	var pulls sync.WaitGroup
	pulls.Go(func() { blocked(t, check(ctx, gate, "sha256:aa")) })
	<-m.enter
	leave() // the first client goes; those who wait must not suffer
	for range 20 {
		pulls.Go(func() { blocked(t, check(t.Context(), gate, "sha256:aa")) })
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
	early.Go(func() { blocked(t, check(t.Context(), gate, "sha256:aa")) })
	<-m.enter // has read the findings, and no decision stands yet
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	gate.Invalidate()
	late := make(chan bool)
	go func() { late <- blocked(t, check(t.Context(), gate, "sha256:aa")) }()
	<-m.enter // the second check did not join the first
	close(m.leave)
	if !<-late {
		t.Error("a check that began after the change was answered from before it")
	}
	early.Wait()
}

func TestGateBoundsItsMemory(t *testing.T) {
	m, c, _ := newGate(t)
	gate := policy.NewGate(m, policy.GateOptions{Now: c.now, MaxAnswers: 10})
	for i := range 1000 {
		blocked(t, check(t.Context(), gate, fmt.Sprintf("sha256:%d", i)))
		if got := gate.Answers(); got > 10 {
			t.Fatalf("%d answers are remembered, want 10 at most", got)
		}
	}
}

func BenchmarkGateHotPath(b *testing.B) {
	m := &memory{findings: map[string][]match.Finding{"sha256:aa": {finding(1, "CVE-1", advisory.Critical, "musl")}}}
	gate := policy.NewGate(m, policy.GateOptions{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := check(b.Context(), gate, "sha256:aa"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
