package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/match"
)

// Trends counts what affected stored images in the past.
type Trends interface {
	// Trend counts at each of the times, which are in order.
	Trend(ctx context.Context, times []time.Time) ([]match.TrendPoint, error)
}

// TrendPoint counts vulnerabilities at a time.
type TrendPoint struct {
	At              time.Time  `json:"at"`
	Vulnerabilities Severities `json:"vulnerabilities" doc:"Those that affected images that were stored then."`
	Unassessed      int        `json:"unassessed" doc:"Those of them on which nothing was decided, anywhere."`
}

func (a *API) trend() {
	register(a, operation{id: "get-trend", method: http.MethodGet, path: "/stats/trend", tag: "stats",
		summary: "Show how many vulnerabilities affected stored images", doc: "At the end of each day, the last point being now; always one page."}, a.showTrend)
}

func (a *API) showTrend(ctx context.Context, in *struct {
	Days int `query:"days" default:"30" minimum:"1" maximum:"366"`
}) (*listed[TrendPoint], error) {
	now := a.now().UTC()
	times := make([]time.Time, in.Days)
	for i := range times {
		times[i] = now.Truncate(24*time.Hour).AddDate(0, 0, i-in.Days+2).Add(-time.Second)
	}
	times[len(times)-1] = now
	points, err := a.Trends.Trend(ctx, times)
	if err != nil {
		return nil, err
	}
	out := &listed[TrendPoint]{List[TrendPoint]{Items: make([]TrendPoint, len(points))}}
	for i, p := range points {
		out.Body.Items[i] = TrendPoint{At: p.Time, Vulnerabilities: severitiesOf(p.Vulnerabilities), Unassessed: p.Unassessed}
	}
	return out, nil
}
