package auth

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxRemembered bounds what is kept of credentials and of failures.
const maxRemembered = 10_000

// memory keeps values for a while.
type memory[V any] struct {
	age time.Duration
	now func() time.Time

	mu      sync.RWMutex
	values  map[[32]byte]remembered[V]
	cleared int // how often
}

type remembered[V any] struct {
	value V
	until time.Time
}

func newMemory[V any](age time.Duration, now func() time.Time) *memory[V] {
	return &memory[V]{age: age, now: now, values: make(map[[32]byte]remembered[V])}
}

func (m *memory[V]) get(key [32]byte) (V, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	v, ok := m.values[key]
	if !ok || !m.now().Before(v.until) {
		var zero V
		return zero, false
	}
	return v.value, true
}

// epoch is to be asked before what is put is looked up.
func (m *memory[V]) epoch() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.cleared
}

// put remembers a value, unless all was forgotten since the epoch: it may be of before.
func (m *memory[V]) put(epoch int, key [32]byte, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if epoch != m.cleared {
		return
	}
	if len(m.values) >= maxRemembered {
		clear(m.values)
	}
	m.values[key] = remembered[V]{value, m.now().Add(m.age)}
}

func (m *memory[V]) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.values)
	m.cleared++
}

// throttle slows down who guesses: ten wrong tries, then one in six seconds.
type throttle struct {
	now func() time.Time

	mu       sync.Mutex
	limiters map[string]*rate.Limiter
}

const (
	wrongTries = 10
	wrongEvery = 6 * time.Second
)

func newThrottle(now func() time.Time) *throttle {
	return &throttle{now: now, limiters: make(map[string]*rate.Limiter)}
}

func (t *throttle) allowed(suspect string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, known := t.limiters[suspect]
	return !known || l.TokensAt(t.now()) >= 1
}

// note counts a wrong try.
func (t *throttle) note(suspect string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, known := t.limiters[suspect]
	if !known {
		if len(t.limiters) >= maxRemembered {
			t.forget()
		}
		l = rate.NewLimiter(rate.Every(wrongEvery), wrongTries)
		t.limiters[suspect] = l
	}
	l.AllowN(t.now(), 1)
}

// forget drops those who were quiet for long, and everyone where none were.
func (t *throttle) forget() {
	for suspect, l := range t.limiters {
		if l.TokensAt(t.now()) >= wrongTries {
			delete(t.limiters, suspect)
		}
	}
	if len(t.limiters) >= maxRemembered {
		clear(t.limiters)
	}
}
