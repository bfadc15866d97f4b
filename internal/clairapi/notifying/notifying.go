// Package notifying tells clients of the Clair APIs when the vulnerabilities of
// what they had indexed change: it makes notifications of what readings of feeds
// changed, and sends them until they arrive.
//
// Everything that is to be done stands in the store, so that nothing is lost when
// the process ends. It must not know a wire format but that of what is sent.
package notifying

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/guard"
)

// Store keeps updates and notifications.
type Store interface {
	// UntoldUpdates lists readings that have ended and were not told of, the oldest first.
	UntoldUpdates(ctx context.Context, limit int) (ids []int64, updates []clairapi.Update, err error)
	ChangesOf(ctx context.Context, update int64) ([]clairapi.Change, error)
	// ManifestsWith returns, by package, the manifests of clients that have it.
	ManifestsWith(ctx context.Context, packages []int64) (map[int64][]string, error)
	// LayersIntroducing lists layers of the v1 API that bring one of the packages.
	LayersIntroducing(ctx context.Context, packages []int64, offset, limit int) ([]string, error)
	// Tell notes that a reading is told of, with the notifications that do.
	Tell(ctx context.Context, update int64, notices []clairapi.Notice, told []clairapi.Told) error

	// Outgoing lists the notifications of an API that are to be sent now.
	Outgoing(ctx context.Context, api string, limit int) ([]clairapi.Outgoing, error)
	// Sent notes whether a notification arrived, and after how long it is sent
	// again; 0 is never.
	Sent(ctx context.Context, id string, arrived bool, again time.Duration) error
	ForgetNotifications(ctx context.Context, before time.Time) error
}

// Options are the choices that New leaves to its caller. The zero value makes no
// notifications.
type Options struct {
	// URL is where notifications of the v4 API are posted, "" for nowhere;
	// Callback is the address of notifications, against which their ids are
	// resolved as references; Header is sent with them; Key signs them where it
	// is not empty.
	URL, Callback string
	Header        http.Header
	Key           []byte
	// All tells of every change, not only of the most severe one of a manifest.
	All bool
	// V1URL is where notifications of the v1 API are posted, "" for nowhere.
	V1URL string
	// Keep is how long notifications are kept; 90 days where zero.
	Keep time.Duration
	// Client sends; one with a time-out of 5 s, which follows no redirects, where nil.
	Client *http.Client
	// Now is the clock; time.Now where nil.
	Now    func() time.Time
	Logger *slog.Logger
}

// Service makes and sends notifications.
type Service struct {
	store Store
	opts  Options
}

// New returns a service. Its Work is to be called after readings of feeds, and
// every minute.
func New(store Store, opts Options) *Service {
	if opts.Keep == 0 {
		opts.Keep = 90 * 24 * time.Hour
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Client == nil {
		opts.Client = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Service{store: store, opts: opts}
}

// batch is how many updates, or notifications, are looked at before the store is
// asked again; most is how many of them one call of Work deals with.
const (
	batch = 50
	most  = 2000
)

// Work makes the notifications that are due, and sends those that are. The error
// joins what went wrong with single ones; they are tried again.
func (s *Service) Work(ctx context.Context) error {
	var errs []error
	for done := 0; done < most; {
		ids, updates, err := s.store.UntoldUpdates(ctx, batch)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if err := s.tell(ctx, id, updates[i]); err != nil {
				return err
			}
		}
		if done += len(ids); len(ids) < batch {
			break
		}
	}
	for _, api := range []struct {
		name, url string
		send      func(context.Context, clairapi.Outgoing) error
	}{{clairapi.APIv4, s.opts.URL, s.send}, {clairapi.APIv1, s.opts.V1URL, s.sendV1}} {
		if api.url == "" {
			continue
		}
		if err := s.sendAll(ctx, api.name, api.send); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, s.store.ForgetNotifications(ctx, s.opts.Now().Add(-s.opts.Keep)))...)
}

// tell makes the notifications of one reading.
func (s *Service) tell(ctx context.Context, id int64, u clairapi.Update) error {
	var notices []clairapi.Notice
	var told []clairapi.Told
	if s.opts.URL != "" || s.opts.V1URL != "" {
		changes, err := s.store.ChangesOf(ctx, id)
		if err != nil {
			return err
		}
		if s.opts.URL != "" {
			if notices, err = s.notices(ctx, changes); err != nil {
				return err
			}
		}
		// Of what a client wrote, the writing told.
		if s.opts.V1URL != "" && u.Feed != clairapi.WrittenFeed {
			if told, err = s.told(ctx, changes); err != nil {
				return err
			}
		}
	}
	return s.store.Tell(ctx, id, notices, told)
}

// notices tells of manifests. As in Clair, what changed was removed and added;
// without All only the most severe change of a manifest is told, of equals what
// was added.
func (s *Service) notices(ctx context.Context, changes []clairapi.Change) ([]clairapi.Notice, error) {
	packages := make([]int64, 0, len(changes))
	for _, c := range changes {
		packages = append(packages, c.PackageID)
	}
	slices.Sort(packages)
	manifests, err := s.store.ManifestsWith(ctx, slices.Compact(packages))
	if err != nil {
		return nil, err
	}
	var list []clairapi.Notice
	type said struct {
		manifest, vulnerability, subject string
		reason                           clairapi.Reason
	}
	seen := make(map[said]bool)
	for _, c := range changes {
		for _, side := range []clairapi.Reason{clairapi.Removed, clairapi.Added} {
			statement := c.Before
			if side == clairapi.Added {
				statement = c.After
			}
			if statement == nil || side == clairapi.Removed && c.After != nil && !s.opts.All {
				continue
			}
			t := c.Threat
			subject := t.Statement.Package
			t.Statement = *statement
			t.Statement.Package = subject
			if statement.Severity > 0 {
				t.Severity = statement.Severity
			}
			for _, m := range manifests[c.PackageID] {
				key := said{m, t.Vulnerability, subject, side} // once for all binary packages of a source
				if !seen[key] {
					seen[key] = true
					list = append(list, clairapi.Notice{Manifest: m, Reason: side, Package: c.Package, Threat: t})
				}
			}
		}
	}
	slices.SortStableFunc(list, func(a, b clairapi.Notice) int {
		return cmp.Or(cmp.Compare(a.Manifest, b.Manifest), cmp.Compare(b.Threat.Severity, a.Threat.Severity), cmp.Compare(a.Reason, b.Reason),
			cmp.Compare(a.Threat.Vulnerability, b.Threat.Vulnerability))
	})
	if s.opts.All {
		return list, nil
	}
	return slices.CompactFunc(list, func(a, b clairapi.Notice) bool { return a.Manifest == b.Manifest }), nil
}

// told tells of vulnerabilities that affect a layer of the v1 API, or did.
func (s *Service) told(ctx context.Context, changes []clairapi.Change) ([]clairapi.Told, error) {
	type key struct{ namespace, name string }
	byKey := make(map[key]*clairapi.Told)
	var order []key
	for _, c := range changes {
		if c.Package.Distribution == "" {
			continue // Clair 2 knows packages of distributions only
		}
		k := key{c.Package.Distribution, c.Threat.Vulnerability}
		t := byKey[k]
		if t == nil {
			t = &clairapi.Told{Namespace: k.namespace, Name: k.name}
			byKey[k], order = t, append(order, k)
		}
		for _, side := range []struct {
			statement bool
			into      **clairapi.Side
		}{{c.Before != nil, &t.Old}, {c.After != nil, &t.New}} {
			if !side.statement {
				continue
			}
			statement := c.After
			if side.into == &t.Old {
				statement = c.Before
			}
			if *side.into == nil {
				*side.into = &clairapi.Side{Written: clairapi.Written{Description: c.Threat.Description}}
			}
			severity := statement.Severity
			if severity == 0 {
				severity = c.Threat.Severity
			}
			(*side.into).Severity = max((*side.into).Severity, severity)
			(*side.into).Packages = append((*side.into).Packages, c.PackageID)
			fix := clairapi.Fix{Package: c.Threat.Statement.Package, Version: statement.Fixed}
			if !slices.Contains((*side.into).Fixes, fix) {
				(*side.into).Fixes = append((*side.into).Fixes, fix)
			}
		}
	}
	var list []clairapi.Told
	for _, k := range order {
		t := byKey[k]
		var packages []int64
		for _, side := range []*clairapi.Side{t.Old, t.New} {
			if side != nil {
				packages = append(packages, side.Packages...)
			}
		}
		layers, err := s.store.LayersIntroducing(ctx, packages, 0, 1)
		if err != nil {
			return nil, err
		}
		if len(layers) > 0 {
			list = append(list, *t)
		}
	}
	return list, nil
}

// longest is the longest time between two tries.
const longest = 15 * time.Minute

// pause is how long after so many tries in vain the next one comes.
func pause(attempts int) time.Duration { return min(longest, 5*time.Second<<min(attempts, 20)) }

// renotify is after how long a notification of the v1 API that arrived and was
// not read is sent again.
const renotify = 2 * time.Hour

func (s *Service) sendAll(ctx context.Context, api string, send func(context.Context, clairapi.Outgoing) error) error {
	var failed error
	for done := 0; done < most; {
		list, err := s.store.Outgoing(ctx, api, batch)
		if err != nil {
			return err
		}
		for _, o := range list {
			err := send(ctx, o)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			var again time.Duration
			switch {
			case err != nil:
				again = pause(o.Attempts)
				failed = fmt.Errorf("notification %s of %s: try %d: %w", o.ID, api, o.Attempts+1, err)
				s.opts.Logger.WarnContext(ctx, "notification did not arrive", "api", api, "id", o.ID, "try", o.Attempts+1, "again_in", again, "error", err)
			case api == clairapi.APIv1:
				again = renotify
			}
			if err := s.store.Sent(ctx, o.ID, err == nil, again); err != nil {
				return err
			}
		}
		if done += len(list); len(list) < batch {
			break
		}
	}
	return failed
}

// send posts a notification of the v4 API. Only 200 says that it arrived.
func (s *Service) send(ctx context.Context, o clairapi.Outgoing) error {
	base, err := url.Parse(s.opts.Callback)
	if err != nil {
		return errors.New("the callback's address is no URL")
	}
	callback, err := base.Parse(o.ID)
	if err != nil {
		return errors.New("the callback's address is no URL")
	}
	return s.post(ctx, s.opts.URL, map[string]string{"notification_id": o.ID, "callback": callback.String()}, func(r *http.Request) error {
		for name, values := range s.opts.Header {
			r.Header[name] = values
		}
		if len(s.opts.Key) == 0 {
			return nil
		}
		return guard.Sign(r, s.opts.Key, s.opts.Now())
	}, http.StatusOK)
}

func (s *Service) sendV1(ctx context.Context, o clairapi.Outgoing) error {
	body := map[string]map[string]string{"Notification": {"Name": o.ID}}
	return s.post(ctx, s.opts.V1URL, body, func(*http.Request) error { return nil }, http.StatusOK, http.StatusCreated)
}

func (s *Service) post(ctx context.Context, address string, body any, prepare func(*http.Request) error, good ...int) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(content))
	if err != nil {
		return err
	}
	if err := prepare(request); err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := s.opts.Client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
	if !slices.Contains(good, response.StatusCode) {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}
