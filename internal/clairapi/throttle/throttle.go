// Package throttle bounds how often each client may do something.
package throttle

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxClients bounds what is remembered. A client that is forgotten begins anew.
const maxClients = 10_000

// Throttle counts clients by name, such as an address. A nil *Throttle allows
// everything. It is safe for use by several goroutines.
type Throttle struct {
	perSecond float64
	burst     int
	now       func() time.Time

	mu      sync.Mutex
	clients map[string]*rate.Limiter
}

// New allows each client perSecond events a second, and burst of them at once;
// it returns nil, which allows everything, where perSecond is not positive. now
// is the clock, time.Now where nil.
func New(perSecond float64, burst int, now func() time.Time) *Throttle {
	if perSecond <= 0 {
		return nil
	}
	if now == nil {
		now = time.Now
	}
	return &Throttle{perSecond: perSecond, burst: max(burst, 1), now: now, clients: make(map[string]*rate.Limiter)}
}

// Allow reports whether the client may do it once more now.
func (t *Throttle) Allow(client string) bool {
	if t == nil {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.clients[client]
	if l == nil {
		if len(t.clients) >= maxClients {
			t.forget()
		}
		l = rate.NewLimiter(rate.Limit(t.perSecond), t.burst)
		t.clients[client] = l
	}
	return l.AllowN(t.now(), 1)
}

// forget drops the clients that have rested long enough to begin anew, and all
// where there are none: then somebody has very many addresses.
func (t *Throttle) forget() {
	for name, l := range t.clients {
		if l.TokensAt(t.now()) >= float64(t.burst) {
			delete(t.clients, name)
		}
	}
	if len(t.clients) >= maxClients {
		clear(t.clients)
	}
}
