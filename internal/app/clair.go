package app

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/adhocore/gronx"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pratique/pratique/internal/adapterapi"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/clairapi/clairv1"
	"github.com/pratique/pratique/internal/clairapi/clairv4"
	"github.com/pratique/pratique/internal/clairapi/guard"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/clairapi/notifying"
	"github.com/pratique/pratique/internal/clairapi/throttle"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/job"
)

// burst is how many times its rate a client may do at once.
const burst = 5

// clair is the handler of what clients of scanners speak: both APIs of Clair, and
// that of pluggable scanners.
func (a *App) clair(users *auth.Service, metrics *prometheus.Registry, version string) (http.Handler, error) {
	c := a.config
	networks, err := c.Networks(egress.LocalNetworks())
	if err != nil {
		return nil, err
	}
	client := egress.New(egress.Options{Networks: networks, Hosts: c.ClairAllowHosts, MaxSize: int64(c.ClairDownloadSize), TotalTimeout: c.ClairDownloadTime})
	a.indexing = indexing.New(a.analyser, a.store, client, indexing.Options{
		Fetches: throttle.New(float64(c.ClairDownloadRate), burst*c.ClairDownloadRate, a.now), Folder: c.ClairLayerFolder, Logger: a.log,
	})
	v4, err := clairv4.New(a.indexing, a.store, clairv4.Options{
		Mode: clairv4.Mode(c.ClairMode), State: a.analyser.State, Concurrency: c.ClairIndexConcurrency, CacheAge: c.ClairCacheAge,
		Client: guard.Client, Logger: a.log, Metrics: metrics,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", clairv1.New(a.indexing, a.store, clairv1.Options{Client: guard.Client, DeriveCVSS2: c.ClairCVSS2, Logger: a.log}))
	for _, path := range clairv4.Paths() {
		mux.Handle(path, v4)
	}
	a.adapter = adapterapi.New(a.indexing, client, a.store, adapterapi.Options{Version: version, Client: guard.Client, Next: a.nextUpdate, Now: a.now, Logger: a.log})
	for _, path := range adapterapi.Paths() {
		mux.Handle(path, a.adapter)
	}
	key, err := c.PSK()
	if err != nil {
		return nil, fmt.Errorf("clair-psk: %w", err)
	}
	a.notifying = notifying.New(a.store, notifying.Options{
		URL: c.ClairNotifyURL, Callback: a.callback(), Header: c.NotifyHeader(), Key: key, All: c.ClairNotifyAll, V1URL: c.ClairV1NotifyURL, Now: a.now, Logger: a.log,
	})
	options := guard.Options{Key: key, Issuers: c.ClairPSKIssuers, Requests: throttle.New(float64(c.ClairRequestRate), burst*c.ClairRequestRate, a.now), Now: a.now}
	if c.ClairKeys {
		options.Known = func(r *http.Request) bool {
			p, err := users.Authenticate(r)
			// What is known of layers is not kept apart by registry.
			return err == nil && !p.Anonymous() && p.MayEverywhere(auth.Read)
		}
	}
	return guard.New(options).Before(mux), nil
}

// callback is the address by which receivers reach notifications of Clair 4: as
// it is configured, else the host of the base URL at the Clair API's port.
func (a *App) callback() string {
	if a.config.ClairNotifyCallback != "" {
		return a.config.ClairNotifyCallback
	}
	host := "localhost"
	if u, err := url.Parse(a.config.BaseURL); err == nil {
		host = cmp.Or(u.Hostname(), host)
	}
	_, port, err := net.SplitHostPort(a.config.ClairListen)
	if err != nil {
		port = "6060" // it was checked when it was read
	}
	return "http://" + net.JoinHostPort(host, port) + "/notifier/api/v1/notification/"
}

// nextUpdate is when feeds are read again; the zero time where they are not.
func (a *App) nextUpdate() time.Time {
	if a.config.FeedsSchedule == config.Off {
		return time.Time{}
	}
	next, err := gronx.NextTickAfter(a.config.FeedsSchedule, a.now().UTC(), false)
	if err != nil {
		return time.Time{} // the schedule was checked when it was read
	}
	return next
}

// notifyClair makes and sends the notifications of the Clair APIs. What does not
// arrive is in the log, and is tried again by itself.
func (a *App) notifyClair(ctx context.Context, _ *job.Task) error {
	if a.notifying == nil {
		return nil
	}
	if err := a.notifying.Work(ctx); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "not all notifications of the Clair API were sent", "error", err)
	}
	return ctx.Err()
}
