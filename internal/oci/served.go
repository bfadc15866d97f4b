package oci

import (
	"sync"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// Bounds of what is remembered of served manifests, in bytes: of all of them,
// of one, and what one takes beside its content.
const (
	maxServed      = 16 << 20
	maxServedSize  = 256 << 10
	servedOverhead = 1 << 10
	// servedFor bounds how long a change by another replica goes unnoticed.
	servedFor = time.Second
)

// found is a manifest and where it is.
type found struct {
	manifest     *registry.Manifest
	repositoryID int64
}

// served is a manifest that was served a moment ago.
type served struct {
	found
	epoch uint64
	until time.Time
}

// size is what it takes of maxServed. Annotations are held twice: in the
// content, and read.
func (s served) size() int { return 2*len(s.manifest.Content) + servedOverhead }

// memory remembers served manifests by the names that were asked for. The
// zero value is empty.
type memory struct {
	mu        sync.RWMutex
	manifests map[string]served
	size      int
}

// get returns a manifest that was remembered at an epoch and is not too old.
func (m *memory) get(name string, epoch uint64, now time.Time) (found, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s, ok := m.manifests[name]
	if !ok || s.epoch != epoch || !now.Before(s.until) {
		return found{}, false
	}
	return s.found, true
}

// put remembers a manifest. Where there is no room it forgets all others.
func (m *memory) put(name string, s served) {
	if s.size() > maxServedSize {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if before, ok := m.manifests[name]; ok {
		m.size -= before.size()
		delete(m.manifests, name)
	}
	if m.manifests == nil || m.size+s.size() > maxServed {
		m.manifests, m.size = make(map[string]served), 0
	}
	m.manifests[name] = s
	m.size += s.size()
}
