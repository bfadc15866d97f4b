package match

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// TrendPoint counts the vulnerabilities of stored images at a time.
type TrendPoint struct {
	Time            time.Time
	Vulnerabilities map[advisory.Severity]int
	// Unassessed are those on which nothing was decided, anywhere.
	Unassessed int
}
