// Package app builds everything from the configuration, starts it and stops it.
// Nothing else wires.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/adapterapi"
	"github.com/pratique/pratique/internal/admission"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/auth/oidc"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/clairapi/notifying"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/event"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/progetapi"
	"github.com/pratique/pratique/internal/promote"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/sbom/attach"
	"github.com/pratique/pratique/internal/secret"
	"github.com/pratique/pratique/internal/setting"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/upstream"
	"github.com/pratique/pratique/internal/usage"
	"github.com/pratique/pratique/internal/vex"
	"github.com/pratique/pratique/internal/webui"
)

// firstRegistry is made by the first start, so that a first push just works.
const firstRegistry = "main"

// Options are what the command line does not say.
type Options struct {
	// Version is the program's.
	Version string
	Log     *slog.Logger
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Pause waits between questions to vulnerability sources; a timer where nil.
	Pause func(ctx context.Context, d time.Duration) error
}

// App is a whole server.
type App struct {
	// GeneratedPassword is that of the user admin where this start made it up.
	GeneratedPassword string

	config      config.Serve
	log         *slog.Logger
	now         func() time.Time
	store       *store.Store
	blobs       blob.Store
	feeds       *Feeds
	analyser    *builtin.Analyser
	attacher    *attach.Attacher
	assessments *assess.Service
	vex         *vex.Service
	refusals    *policy.Journal
	pulls       *usage.Counter
	unadmitted  *policy.Journal
	replica     replica
	sources     *source.Service
	asker       *source.Worker
	notify      *notify.Service
	retention   *retention.Service
	changed     func() // forgets verdicts, and what is served
	upstream    *upstream.Service
	settings    *setting.Service
	watched     watchedStore
	queue       *job.Queue
	events      *event.Broker
	scheduler   *job.Scheduler
	indexing    *indexing.Service
	notifying   *notifying.Service // nil without the Clair API
	adapter     *adapterapi.API
	watch       *feedWatch
	health      *health
	listeners   []*listener
}

// Open builds the server and opens its sockets; Run serves.
func Open(ctx context.Context, c config.Serve, opts Options) (*App, error) {
	a := &App{config: c}
	if err := a.build(ctx, opts); err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

func (a *App) build(ctx context.Context, opts Options) (err error) {
	c := a.config
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	a.log, a.now = opts.Log, opts.Now
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if a.store, err = store.Open(ctx, c.DatabaseURL(), store.Options{Now: opts.Now}); err != nil {
		return err
	}
	if err := rekey(ctx, a.store, opts.Log); err != nil {
		return err
	}
	if a.blobs, err = blob.NewDir(strings.TrimPrefix(c.BlobsURL(), "file:"), blob.Options{NoSync: !c.BlobFsync}); err != nil {
		return err
	}
	if a.replica, err = openReplica(c.Data); err != nil {
		return err
	}
	a.queue = job.New(a.store, job.Options{Now: opts.Now, Log: opts.Log, Grace: c.ShutdownGrace, Replica: a.replica.name})
	a.events = event.New(a.store, event.Options{Now: opts.Now, Log: opts.Log})
	if a.feeds, err = newFeeds(a.store, c.Feeds, filepath.Join(c.Data, "tmp"), opts); err != nil {
		return err
	}
	users := auth.New(a.store, auth.Options{Now: opts.Now, Logger: opts.Log})
	if err := a.firstStart(ctx, users); err != nil {
		return err
	}
	a.settings = setting.New(a.store, knownSettings(c), setting.Options{Now: opts.Now, Log: opts.Log})
	baseURL := func(ctx context.Context) string { return a.settings.Value(ctx, settingBaseURL) }
	gatekeeper, err := auth.NewGatekeeper(ctx, users, baseURL)
	if err != nil {
		return err
	}
	a.refusals = policy.NewJournal(a.store, policy.JournalOptions{Now: opts.Now, Log: opts.Log})
	a.unadmitted = policy.NewJournal(a.store, policy.JournalOptions{Now: opts.Now, Log: opts.Log, Action: "admission.refuse"})
	gate := policy.NewGate(a.store, policy.GateOptions{Now: opts.Now, Sources: a.store, Witness: a.refusals})
	changed := func() {
		gate.Invalidate()
		gatekeeper.Invalidate()
	}
	a.feeds.changed = changed
	a.assessments = assess.New(a.store, assess.Options{Now: opts.Now, Changed: changed, Due: a.judgeSoon})
	if err := a.assessments.Seed(ctx); err != nil {
		return err
	}
	later := vexQueue{a.queue, opts.Now}
	a.vex = vex.New(a.store, layerBlobs{a.blobs}, later, vex.Options{Changed: changed})
	watched := watchedStore{a.store, a.vex, later, opts.Log, a.judgeSoon, func(ctx context.Context) int { return trashDays(a.settings.Value(ctx, settingTrashDays)) }, a.tellOfImage}
	a.watched = watched
	options := analyserOptions(c.Layers)
	options.OnChange, options.OnSettled, options.Logger = changed, a.imageSettled, opts.Log
	a.analyser = builtin.New(watched, layerBlobs{a.blobs}, layerQueue{a.queue}, options)
	a.attacher = attach.New(a.store, a.blobs, attach.Options{Host: func(ctx context.Context) string { return host(baseURL(ctx)) }, Version: opts.Version})
	box, err := secret.Load(c.SecretKeyPath())
	if err != nil {
		return err
	}
	a.buildSources(box, gatekeeper, baseURL, changed, opts)
	if err := a.buildNotify(box, baseURL, opts); err != nil {
		return err
	}
	if a.scheduler, err = job.NewScheduler(a.store, a.queue, a.plans(), job.SchedulerOptions{Now: opts.Now, Log: opts.Log}); err != nil {
		return err
	}
	a.watch = newFeedWatch(a.feeds.Status, a.scheduler.List, opts.Log, opts.Now)
	a.retention = retention.New(watched, opts.Now)
	a.pulls = usage.New(a.store, usage.Options{Now: opts.Now, Log: opts.Log})
	var handler *oci.Handler
	a.changed = func() {
		changed()
		handler.Forget()
	}
	a.upstream = upstream.New(watched, a.blobs, notingObserver{askingObserver{a.analyser, a}, a.analyser}, box, upstream.Options{Now: opts.Now, Log: opts.Log, Dir: filepath.Join(c.Data, "tmp")})
	clusters, finder := policy.NewClusters(a.store, opts.Now), policy.NewFinder(a.store, baseURL)
	signIn := oidc.New(a.store, box, users, oidc.Options{BaseURL: baseURL, SignedIn: a.signedIn, Now: opts.Now, Log: opts.Log})
	rest, err := api.New(api.Services{
		SignIn: signIn, Authenticator: users, Sessions: users, Registries: registries{watched, a}, Images: a.store, Vulnerabilities: a.store, Assessments: a.assessments, Judge: gate,
		Jobs: a.queue, Schedules: a.scheduler, Kinds: a.described(), Events: a.events, Feeds: feedJobs{a.feeds, a.queue, a.watch}, Users: users, Audit: a.store, Stats: a.store, System: system{a, opts.Now()}, Summaries: a.store, Trends: a.store,
		VEX: a.vex, Settings: a.settings, Notify: a.notify, Sources: a.sources, Policies: policy.New(a.store, policy.Options{Now: opts.Now, Sources: a.store, Changed: changed}),
		Clusters: clusters, Finder: finder, Promotion: promotions{promote.New(watched, gate, askingObserver{a.analyser, a}), a}, Trash: trash{watched, a}, Retention: a.retention, Upstream: a.upstream, Usage: a.store,
	}, api.Options{StartSettings: startSettings(c), Log: opts.Log, Now: opts.Now, Version: opts.Version, BaseURL: baseURL, Changed: a.changed})
	if err != nil {
		return err
	}
	handler = oci.New(watched, a.blobs, gatekeeper, gate, askingObserver{a.analyser, a}, oci.Options{BaseURL: baseURL, Upstream: a.upstream, Usage: a.pulls, Changed: changed, Logger: opts.Log, Now: opts.Now, GarbageGrace: c.GarbageGrace})
	reviews := admission.New(gate, finder, clusters, users, admission.Options{Witness: a.unadmitted, BaseURL: baseURL, Logger: opts.Log})
	mux := http.NewServeMux()
	mux.Handle(api.Prefix+"/", rest)
	mux.Handle(admission.Path, reviews)
	mux.Handle(admission.Path+"/{token}", reviews)
	mux.Handle(oidc.StartPath, signIn)
	mux.Handle(oidc.CallbackPath, signIn)
	mux.Handle("/v2/_auth", gatekeeper)
	mux.Handle("/v2/", handler)
	mux.Handle("/v2", handler)
	proget := progetapi.New(users, a.assessments, a.store, progetapi.Options{Version: opts.Version, Logger: opts.Log})
	for _, path := range progetapi.Paths() {
		mux.Handle(path, proget)
	}
	mux.Handle("/", webui.New(webui.Options{Log: opts.Log}))
	return a.listen(ctx, mux, users, opts.Version)
}

// signedIn writes down who came from the provider of sign-ins.
func (a *App) signedIn(ctx context.Context, name string, created bool) error {
	actions := []string{"session.create"}
	if created {
		actions = []string{"user.create", "session.create"}
	}
	for _, action := range actions {
		if err := a.store.AppendAudit(ctx, audit.Entry{Actor: name, Action: action, Object: "user " + name, Detail: []byte(`{"by":"sign-in-provider"}`)}); err != nil {
			return err
		}
	}
	return nil
}

// firstStart makes what a new installation needs.
func (a *App) firstStart(ctx context.Context, users *auth.Service) error {
	password, err := a.config.Password()
	if err != nil {
		return fmt.Errorf("admin password: %w", err)
	}
	known, err := users.Users(ctx)
	if err != nil || len(known) > 0 {
		return err
	}
	if _, err := a.store.CreateRegistry(ctx, registry.Registry{Name: firstRegistry, Description: "The first registry", Policy: "{}"}); err != nil && !errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("first registry: %w", err)
	}
	if a.GeneratedPassword, err = users.EnsureAdmin(ctx, password); err != nil {
		return fmt.Errorf("user admin: %w", err)
	}
	return nil
}

// listen opens the sockets.
func (a *App) listen(ctx context.Context, main http.Handler, users *auth.Service, version string) error {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics.MustRegister(a.watch)
	a.health = &health{database: a.store, alarms: a.watch.alarms}
	add := func(name, address string, handler http.Handler) error {
		if address == config.Off {
			return nil
		}
		l, err := listen(ctx, name, address, handler, a.log)
		if err == nil {
			a.listeners = append(a.listeners, l)
		}
		return err
	}
	if err := add("listen", a.config.Listen, main); err != nil {
		return err
	}
	if a.config.ClairListen != config.Off {
		handler, err := a.clair(users, metrics, version)
		if err != nil {
			return err
		}
		if err := add("clair-listen", a.config.ClairListen, handler); err != nil {
			return err
		}
	}
	return add("health-listen", a.config.HealthListen, a.health.handler(metrics))
}

// Address is where a listener listens ("listen", "clair-listen",
// "health-listen"); "" where it is off.
func (a *App) Address(name string) string {
	for _, l := range a.listeners {
		if l.name == name {
			return l.socket.Addr().String()
		}
	}
	return ""
}

// Run serves until ctx is done, then lets what is under way end.
func (a *App) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, a.close()) }()
	// The sockets accept before the rest runs; what they queue is done then.
	group, running := errgroup.WithContext(ctx)
	for _, l := range a.listeners {
		group.Go(l.serve)
		a.log.InfoContext(ctx, "listening", "listener", l.name, "address", l.socket.Addr().String())
	}
	// Work that requests wait for outlives them.
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		a.resumeScans(work)
		return a.queue.Run(work, a.handlers())
	})
	group.Go(func() error { return a.scheduler.Run(running) })
	group.Go(func() error { return a.watch.run(running) })
	group.Go(func() error {
		return counting{count: a.store.CountFindings, log: a.log, pause: time.Second, tell: 5 * time.Second}.run(running)
	})
	group.Go(func() error { return a.refusals.Run(work) })
	group.Go(func() error { return a.pulls.Run(work) })
	group.Go(func() error { return a.unadmitted.Run(work) })
	group.Go(func() error { return a.events.Run(running) })
	if a.config.FeedsSchedule != config.Off {
		if err := (feedJobs{a.feeds, a.queue, a.watch}).enqueueFirst(ctx); err != nil {
			a.log.ErrorContext(ctx, "feeds wait for their schedule", "error", err)
		}
	}
	group.Go(func() error {
		if err := a.analyser.Resume(running); err != nil && running.Err() == nil {
			return fmt.Errorf("resume analyses: %w", err)
		}
		// What an earlier run left of the bills that registries ask for.
		if _, err := a.queue.Enqueue(work, attachSBOMs, "", registryPayload{}, job.EnqueueOptions{}); err != nil && running.Err() == nil {
			return fmt.Errorf("resume bills: %w", err)
		}
		if _, err := a.store.AskNew(running, ""); err != nil && running.Err() == nil {
			return fmt.Errorf("resume questions to sources: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-running.Done()
		a.health.draining.Store(true)
		a.log.InfoContext(ctx, "shutting down")
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), a.config.ShutdownGrace)
		defer cancel()
		var errs []error
		for _, l := range a.listeners {
			errs = append(errs, l.shutdown(grace))
		}
		if a.adapter != nil {
			a.adapter.Close(grace)
		}
		if a.indexing != nil {
			a.indexing.Close(grace)
		}
		stopWork()
		return errors.Join(errs...)
	})
	err = group.Wait()
	stopWork()
	return err
}

// close releases what Open opened.
func (a *App) close() error {
	var errs []error
	for _, l := range a.listeners {
		if err := l.socket.Close(); err != nil && !isClosed(err) {
			errs = append(errs, err)
		}
	}
	if a.upstream != nil {
		errs = append(errs, a.upstream.Close())
	}
	if a.feeds != nil {
		errs = append(errs, a.feeds.Close())
	}
	if closer, ok := a.blobs.(io.Closer); ok {
		errs = append(errs, closer.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	errs = append(errs, a.replica.close())
	return errors.Join(errs...)
}
