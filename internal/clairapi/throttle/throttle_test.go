package throttle_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/clairapi/throttle"
)

func TestAllow(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	th := throttle.New(2, 3, func() time.Time { return now })
	count := func(client string) (n int) {
		for range 10 {
			if th.Allow(client) {
				n++
			}
		}
		return n
	}
	if n := count("a"); n != 3 {
		t.Errorf("at once: %d", n)
	}
	if n := count("b"); n != 3 {
		t.Errorf("another client: %d", n)
	}
	now = now.Add(time.Second)
	if n := count("a"); n != 2 {
		t.Errorf("a second later: %d", n)
	}
	for i := range 30_000 { // what is remembered is bounded, and goes on working
		if !th.Allow(fmt.Sprint(i)) {
			t.Fatalf("client %d is refused", i)
		}
	}
	var none *throttle.Throttle
	if throttle.New(0, 5, nil) != nil || !none.Allow("a") {
		t.Error("no rate is no limit")
	}
}
