package app

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// pinger is a part that can say whether it works.
type pinger interface {
	Ping(ctx context.Context) error
}

// health answers whether the process lives and whether it can serve.
type health struct {
	database pinger
	// alarms are lines of what is wrong though the server can serve.
	alarms func() []string
	// draining is set when the server is about to end.
	draining atomic.Bool
}

// handler serves /health as Clair does (200 or 500, no body), /healthz (alive),
// /readyz (able to serve, with the alarms) and /metrics.
func (h *health) handler(metrics *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", "clair")
		if h.check(r.Context()) != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		switch {
		case h.draining.Load():
			http.Error(w, "shutting down", http.StatusServiceUnavailable)
		case h.check(r.Context()) != nil:
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte(strings.Join(append([]string{"ok"}, h.alarms()...), "\n") + "\n"))
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}

func (h *health) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return h.database.Ping(ctx)
}
