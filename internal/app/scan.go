package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/report"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/target"
)

// ErrUnread is returned with a report where layers of the target could not be
// read: the findings are those of the rest.
var ErrUnread = errors.New("layers could not be read")

// ScanSettings are those that a scan shares with a server.
type ScanSettings struct {
	Storage config.Storage
	Feeds   config.Feeds
	Layers  config.Layers
}

// Scanner scans images that need not be stored, beside a server or without one.
// What it learns of layers is kept for the next scan, and for the server; lists
// of images stay as they are.
type Scanner struct {
	store    *store.Store
	analyser *builtin.Analyser
	feeds    *Feeds
	limits   layer.Options
	wants    func(path string) bool
	opts     Options
	interval time.Duration // at which a server of these settings updates the feeds
}

// ScanRequest says what to scan.
type ScanRequest struct {
	Target target.Name
	// Platform is as in target.Options.
	Platform string
	Remote   target.Remote
	// At is the place whose policy and assessments count; without a registry,
	// what is assessed everywhere and what blocks there.
	At assess.Place
	// Progress is told of each layer that is read, where not nil.
	Progress target.Progress
}

// OpenScanner opens what `pratique scan` needs.
func OpenScanner(ctx context.Context, settings ScanSettings, opts Options) (*Scanner, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if err := os.MkdirAll(settings.Storage.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	db, err := store.Open(ctx, settings.Storage.DatabaseURL(), store.Options{Now: opts.Now})
	if err != nil {
		return nil, err
	}
	if err := rekey(ctx, db, opts.Log); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	options := analyserOptions(settings.Layers)
	options.Logger = opts.Log
	s := &Scanner{store: db, opts: opts, limits: options.Limits}
	if s.feeds, err = newFeeds(db, settings.Feeds, filepath.Join(settings.Storage.Data, "tmp"), opts); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.wants = func(path string) bool {
		return slices.ContainsFunc(options.Detectors, func(d inventory.Detector) bool { return d.Wants(path) })
	}
	if schedule := settings.Feeds.FeedsSchedule; schedule != config.Off && schedule != "" {
		if s.interval, err = job.Interval(schedule, opts.Now()); err != nil {
			return nil, errors.Join(fmt.Errorf("feeds-schedule: %w", err), s.Close())
		}
	}
	// Nothing is stored and nothing is queued: layers are read here and now.
	s.analyser = builtin.New(db, nil, nil, options)
	return s, nil
}

// Close releases what the scanner holds.
func (s *Scanner) Close() error { return errors.Join(s.feeds.Close(), s.store.Close()) }

// UpdateFeeds brings the advisories up to date.
func (s *Scanner) UpdateFeeds(ctx context.Context, progress func(string)) error {
	_, err := s.feeds.Update(ctx, feed.Request{Progress: progress})
	return err
}

// Scan scans a target. With an error that wraps ErrUnread comes a report.
func (s *Scanner) Scan(ctx context.Context, req ScanRequest) (report.Report, error) {
	return s.scan(ctx, req, func(image.Image) {})
}

// scan tells of each image once its inventory is stored.
func (s *Scanner) scan(ctx context.Context, req ScanRequest, tell func(image.Image)) (report.Report, error) {
	feeds, err := s.feeds.Status(ctx)
	if err != nil {
		return report.Report{}, err
	}
	rules, err := s.policy(ctx, req.At.Registry)
	if err != nil {
		return report.Report{}, err
	}
	r := report.New(req.Target.String(), s.opts.Version, s.opts.Now(), feeds, s.interval)
	if req.Target.Kind == target.SBOM {
		return r, s.scanBill(ctx, &r, req, rules, tell)
	}
	source, err := target.Open(ctx, req.Target, target.Options{Platform: req.Platform, Limits: s.limits, Wants: s.wants, Remote: req.Remote, Progress: req.Progress})
	if err != nil {
		return report.Report{}, err
	}
	defer pruneLayers(ctx, s.store, s.opts.Log)
	var unread []error
	for _, img := range source.Images {
		err := s.scanImage(ctx, &r, img, req, rules, tell)
		if errors.Is(err, ErrUnread) {
			unread = append(unread, err)
			err = nil
		}
		if err != nil {
			return report.Report{}, errors.Join(err, source.Close())
		}
	}
	return r, errors.Join(errors.Join(unread...), source.Close())
}

// Explain says why the first image of a target is, or is not, affected by a
// vulnerability, given by any of its names. With an error that wraps ErrUnread
// comes what can be said of the rest.
func (s *Scanner) Explain(ctx context.Context, vulnerability string, req ScanRequest) (e api.ImageExplanation, err error) {
	var scanned image.Image
	var unread error
	r, err := s.scan(ctx, req, func(img image.Image) { scanned = img })
	switch {
	case errors.Is(err, ErrUnread):
		unread = err
	case err != nil:
		return e, err
	}
	coverage := r.Images[0].Coverage
	known := image.Coverage{Verdict: image.Verdict(coverage.Verdict), Reasons: coverage.Reasons}
	v, err := s.store.VulnerabilityByName(ctx, vulnerability)
	if errors.Is(err, store.ErrNotFound) {
		return api.ShowUnknown(vulnerability, known), unread
	}
	if err != nil {
		return e, err
	}
	packages, err := s.store.PackagesSpokenOf(ctx, scanned.InventoryID, v.ID)
	if err != nil {
		return e, err
	}
	products, err := s.store.Products(ctx, match.PackagesOf(packages))
	if err != nil {
		return e, err
	}
	feeds, err := s.feeds.Status(ctx)
	if err != nil {
		return e, err
	}
	return api.ShowExplanation(v, match.ExplainImage(packages, v.Statements, products), scanned.Layers, known, feeds), unread
}

// policy is that of a registry; without one, what types say themselves.
func (s *Scanner) policy(ctx context.Context, registry string) (policy.Policy, error) {
	if registry == "" {
		return policy.Policy{}, nil
	}
	global, own, err := s.store.PolicySettings(ctx, registry)
	if err != nil {
		return policy.Policy{}, err
	}
	p := policy.Resolve(global, own).Policy
	p.Sources, err = s.store.RegistrySources(ctx, registry)
	return p, err
}

// scanImage scans one image and adds it to the report.
func (s *Scanner) scanImage(ctx context.Context, r *report.Report, img *target.Image, req ScanRequest, rules policy.Policy, tell func(image.Image)) error {
	unread, err := s.read(ctx, img, req)
	if err != nil {
		return err
	}
	scanned := img.Image
	scanned.State = image.Done
	var problems []string
	for n := range img.Layers {
		u, failed := unread[n]
		switch {
		case !failed || u.Foreign:
			continue
		case scanned.Error == "":
			scanned.State, scanned.Error = image.Failed, u.Reason
		}
		problems = append(problems, u.Reason)
	}
	id, found, err := s.analyser.Assemble(ctx, scanned.LayerDigests(), unread)
	if err != nil {
		return fmt.Errorf("%s: %w", img.Name, err)
	}
	found.Warnings = append(found.Warnings, img.LeftOut()...)
	if err := s.add(ctx, r, img.Name, scanned, id, found, req, rules, tell); err != nil {
		return fmt.Errorf("%s: %w", img.Name, err)
	}
	if len(problems) > 0 {
		return fmt.Errorf("%s: %d of %d %w: %s", img.Name, len(problems), len(img.Layers), ErrUnread, strings.Join(distinct(problems), "; "))
	}
	return nil
}

// read has those layers analysed that are not known, as many at a time as there
// are processors, and fills in the digests that only the bytes tell. It returns
// why layers could not be read.
func (s *Scanner) read(ctx context.Context, img *target.Image, req ScanRequest) (map[int]builtin.Unread, error) {
	var (
		mu     sync.Mutex
		unread = make(map[int]builtin.Unread)
		as     = make(map[string]int) // the layer that is read for all of a digest
	)
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	if img.OneByOne() {
		group.SetLimit(1)
	}
	var digests []string
	for _, l := range img.Layers {
		if l.Digest != "" {
			digests = append(digests, l.Digest)
		}
	}
	if err := s.store.TouchLayers(ctx, digests); err != nil {
		return nil, err
	}
	for _, n := range img.Order() {
		digest := img.Layers[n].Digest
		if digest != "" {
			if _, done := as[digest]; done {
				continue
			}
			as[digest] = n
			known, err := s.analyser.Known(ctx, digest)
			if err != nil {
				return nil, errors.Join(err, group.Wait())
			}
			if known {
				continue
			}
		}
		group.Go(func() error {
			got, err := s.readLayer(running, img, n, req)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				img.Layers[n].Digest = got
			case running.Err() != nil || !readable(err):
				return err
			default:
				u := builtin.Unread{Reason: err.Error()}
				if img.Layers[n].Foreign && errors.Is(err, target.ErrMissing) {
					u = builtin.Unread{Reason: "the layer is kept elsewhere and was not read", Foreign: true}
				}
				unread[n] = u
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for n, l := range img.Layers {
		if u, failed := unread[as[l.Digest]]; failed && l.Digest != "" {
			unread[n] = u
		}
	}
	return unread, nil
}

// readable reports errors of one layer; any other, such as the database's, ends
// the scan.
func readable(err error) bool {
	var source *sourceError
	return layer.Permanent(err) || errors.As(err, &source)
}

// sourceError is that a layer cannot be had.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// readLayer analyses a layer and returns its digest.
func (s *Scanner) readLayer(ctx context.Context, img *target.Image, n int, req ScanRequest) (digest string, err error) {
	content, err := img.Layer(ctx, n)
	if err != nil {
		return "", &sourceError{err}
	}
	defer func() {
		if e := content.Close(); err == nil && e != nil {
			err = &sourceError{e}
		}
	}()
	read := &failing{inner: content}
	var stream io.Reader = read
	if req.Progress != nil {
		var done func(error)
		stream, done = req.Progress(img.LayerName(n), img.Layers[n].Size, stream)
		defer func() { done(err) }()
	}
	if digest = img.Layers[n].Digest; digest != "" {
		err = s.analyser.IndexAs(ctx, digest, stream)
	} else {
		digest, err = s.analyser.Index(ctx, stream)
	}
	if read.err != nil && err != nil {
		err = &sourceError{fmt.Errorf("layer %s: %w", img.LayerName(n), read.err)}
	}
	return digest, err
}

// failing remembers that reading failed, whatever becomes of the error on its way.
type failing struct {
	inner io.Reader
	err   error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.inner.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}

// add completes an image with what is known of its packages, and adds it.
func (s *Scanner) add(ctx context.Context, r *report.Report, name string, img image.Image, id int64, found inventory.Image, req ScanRequest, rules policy.Policy, tell func(image.Image)) error {
	img.InventoryID, img.Distribution, img.DistributionName = id, found.Distribution.String(), found.Distribution.PrettyName
	img.Packages, img.Warnings, img.Types = len(found.Packages), found.Warnings, make(map[string]int)
	for _, p := range found.Packages {
		if p.Owner == "" {
			img.Types[p.Type]++
		}
	}
	tell(img)
	installed, err := s.store.InventoryPackages(ctx, id)
	if err != nil {
		return err
	}
	findings, err := s.store.InventoryFindings(ctx, id)
	if err != nil {
		return err
	}
	for i := range installed {
		installed[i].LayerDigest = digestAt(img.Layers, installed[i].LayerIndex)
	}
	for i := range findings {
		findings[i].LayerDigest = digestAt(img.Layers, findings[i].LayerIndex)
	}
	data, err := s.store.FeedData(ctx, img.Ecosystems())
	if err != nil {
		return err
	}
	now := s.opts.Now()
	at := req.At
	at.Digest = img.Digest
	decisions, err := s.decisions(ctx, findings, at, now)
	if err != nil {
		return err
	}
	states, verdict := policy.Judge(policy.Subject{Findings: findings, Image: img, Data: data}, at, decisions, rules, now)
	coverage := img.Coverage(data, now)
	coverage.Reasons = distinct(coverage.Reasons)
	r.Add(report.Scan{
		Name: name, Image: img, Installed: installed, Findings: findings,
		Judgement: policy.Judgement{Place: at, States: states, Verdict: verdict},
		Coverage:  coverage, DataUpdated: image.Oldest(data),
	})
	return nil
}

// distinct lists each text once: that a layer could not be read is the image's
// error, and a warning as well.
func distinct(list []string) []string {
	var all []string
	for _, text := range list {
		if !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

func digestAt(layers []image.Layer, n int) string {
	if n >= len(layers) {
		return ""
	}
	return layers[n].Digest
}

func (s *Scanner) decisions(ctx context.Context, findings []match.Finding, at assess.Place, now time.Time) ([]assess.Decision, error) {
	ids := make([]int64, 0, len(findings))
	for _, f := range findings {
		ids = append(ids, f.VulnerabilityID)
	}
	slices.Sort(ids)
	return s.store.LiveDecisions(ctx, slices.Compact(ids), []assess.Place{at}, now)
}
