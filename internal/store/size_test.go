package store_test

import (
	"testing"

	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestSize(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		size, err := s.Size(t.Context())
		// The tables alone take some pages; the tests' databases hold little else.
		if err != nil || size < 64<<10 || size > 1<<30 {
			t.Errorf("got %d, %v", size, err)
		}
	})
}
