package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
)

// State is how far a delivery is.
type State string

// The states of deliveries.
const (
	Queued    State = "queued"
	Delivered State = "delivered"
	Failed    State = "failed"
)

// Delivery is one event told to one receiver.
type Delivery struct {
	ID         int64
	ReceiverID int64
	Receiver   string
	Event      Event
	State      State
	Attempts   int
	// Status is that of the last answer, 0 where there was none; Answer its start.
	Status int
	Answer string
	Error  string

	CreatedAt, FinishedAt time.Time
}

// Store keeps receivers, events and deliveries.
type Store interface {
	Receivers(ctx context.Context) ([]Receiver, error)
	Receiver(ctx context.Context, name string) (Receiver, error)
	CreateReceiver(ctx context.Context, r Receiver) (Receiver, error)
	UpdateReceiver(ctx context.Context, r Receiver) (Receiver, error)
	// SealAddress stores the address of a receiver that has none sealed, and what is
	// shown of it.
	SealAddress(ctx context.Context, id int64, shown string, address []byte) error
	DeleteReceiver(ctx context.Context, name string) error

	// AppendEvents stores events that wait.
	AppendEvents(ctx context.Context, events []Event) error
	// WaitingEvents lists at most limit events that were not dispatched, the oldest first.
	WaitingEvents(ctx context.Context, limit int) ([]Event, error)
	// Dispatch stores deliveries, given by receiver and event, and marks the
	// events, in one step. Events that another replica dispatched meanwhile are
	// left out. It returns the ids of what it stored.
	Dispatch(ctx context.Context, events []int64, deliveries []Delivery) ([]int64, error)
	// WaitingDeliveries lists at most limit deliveries that were queued before a time.
	WaitingDeliveries(ctx context.Context, before time.Time, limit int) ([]int64, error)
	// Delivery returns one with its receiver, or ErrNotFound.
	Delivery(ctx context.Context, id int64) (Delivery, Receiver, error)
	// Deliveries lists those of a receiver with a smaller id than before, the
	// newest first; a zero before is no bound.
	Deliveries(ctx context.Context, receiver int64, before int64, limit int) ([]Delivery, error)
	// RecordAttempt stores the outcome of a try.
	RecordAttempt(ctx context.Context, d Delivery) error
	// PruneEvents deletes at most limit events that were dispatched before a time.
	PruneEvents(ctx context.Context, before time.Time, limit int) (int, error)
}

// Poster sends a request to an address that others gave. It does not follow
// redirects. The answer's body is its start.
type Poster interface {
	Post(ctx context.Context, url string, header http.Header, body []byte) (status int, answer []byte, err error)
	// Check reports why an address can never be called.
	Check(url string) error
}

// Mailer sends text by e-mail.
type Mailer interface {
	Send(ctx context.Context, to []string, subject, text string) error
}

// Sealer keeps secrets from who reads the database.
type Sealer interface {
	Seal(purpose string, secret []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// purpose is what the secret of a receiver is sealed for.
func (r Receiver) purpose() string { return "webhook " + r.Name }

// addressPurpose is what its address is sealed for.
func (r Receiver) addressPurpose() string { return "address of webhook " + r.Name }

// Queue has Deliver called for deliveries, again where it fails.
type Queue interface {
	EnqueueDeliveries(ctx context.Context, ids []int64) error
	// WakeDispatch has Dispatch called soon.
	WakeDispatch(ctx context.Context) error
}

// Options are the choices of a Service.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	Log *slog.Logger
	// Poster, Mailer and Sealer do what their names say. Without a Mailer no
	// e-mail is sent, and deliveries say so.
	Poster Poster
	Mailer Mailer
	Sealer Sealer
	// BaseURL is where people reach the server; "" where that is not known.
	BaseURL func(ctx context.Context) string
	// Keep is how long what was told is remembered; 30 days where zero.
	Keep time.Duration
}

// Service takes events and tells them.
type Service struct {
	store Store
	queue Queue
	opts  Options
}

// New returns a service over the store.
func New(store Store, queue Queue, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	if opts.Keep == 0 {
		opts.Keep = 30 * 24 * time.Hour
	}
	return &Service{store: store, queue: queue, opts: opts}
}

// Wanted reports whether anyone is told of events of a type.
func (s *Service) Wanted(ctx context.Context, what Type) (bool, error) {
	receivers, err := s.store.Receivers(ctx)
	return slices.ContainsFunc(receivers, func(r Receiver) bool {
		return r.Enabled && (len(r.Events) == 0 || slices.Contains(r.Events, what))
	}), err
}

// Emit writes events down. That nobody can be told is the caller's to log: what
// happened has happened.
func (s *Service) Emit(ctx context.Context, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	for i := range events {
		if events[i].At.IsZero() {
			events[i].At = s.opts.Now()
		}
	}
	if err := s.store.AppendEvents(ctx, events); err != nil {
		return fmt.Errorf("write down what happened: %w", err)
	}
	return s.queue.WakeDispatch(ctx)
}

// Dispatch decides who is told of what waits, and has it delivered. It is safe
// to be called by several replicas at once, and again after a crash.
func (s *Service) Dispatch(ctx context.Context) (told int, err error) {
	const batch = 200
	if err := s.sealAddresses(ctx); err != nil {
		return 0, err
	}
	// What a process left behind that ended between its two steps.
	left, err := s.store.WaitingDeliveries(ctx, s.opts.Now().Add(-time.Hour), batch)
	if err == nil && len(left) > 0 {
		err = s.queue.EnqueueDeliveries(ctx, left)
	}
	if err != nil {
		return 0, fmt.Errorf("deliveries that wait: %w", err)
	}
	for {
		events, err := s.store.WaitingEvents(ctx, batch)
		if err != nil || len(events) == 0 {
			return told, err
		}
		receivers, err := s.store.Receivers(ctx)
		if err != nil {
			return told, err
		}
		var ids []int64
		var deliveries []Delivery
		for _, e := range events {
			ids = append(ids, e.ID)
			for _, r := range receivers {
				if r.wants(e) {
					deliveries = append(deliveries, Delivery{ReceiverID: r.ID, Event: e})
				}
			}
		}
		stored, err := s.store.Dispatch(ctx, ids, deliveries)
		if err == nil {
			err = s.queue.EnqueueDeliveries(ctx, stored)
		}
		if err != nil {
			return told, fmt.Errorf("dispatch events: %w", err)
		}
		told += len(stored)
	}
}

// Prune forgets what was told long ago.
func (s *Service) Prune(ctx context.Context) (pruned int, err error) {
	const batch = 500
	for {
		n, err := s.store.PruneEvents(ctx, s.opts.Now().Add(-s.opts.Keep), batch)
		pruned += n
		if err != nil || n < batch {
			return pruned, err
		}
	}
}

// errAnswer is an answer that says that nothing was taken.
var errAnswer = errors.New("the receiver answered")

// Deliver tells a receiver of an event. It returns why it could not, for
// another try; last says that there is none.
func (s *Service) Deliver(ctx context.Context, id int64, last bool) error {
	d, r, err := s.store.Delivery(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil // the receiver is gone
	case err != nil:
		return err
	case d.State != Queued:
		return nil // it was told, and the process ended before that was known
	}
	d.Attempts++
	d.Status, d.Answer, err = s.send(ctx, r, d)
	d.Error = ""
	if err != nil {
		d.Error = cut(err.Error(), 500)
		if last {
			d.State, d.FinishedAt = Failed, s.opts.Now()
		}
	} else {
		d.State, d.FinishedAt = Delivered, s.opts.Now()
	}
	if stored := s.store.RecordAttempt(ctx, d); stored != nil {
		return errors.Join(err, stored)
	}
	if err != nil {
		return fmt.Errorf("tell %s of event %d: %w", r.Name, d.Event.ID, err)
	}
	return nil
}

func (s *Service) send(ctx context.Context, r Receiver, d Delivery) (status int, answer string, err error) {
	e, link := d.Event, ""
	if base := strings.TrimSuffix(s.opts.BaseURL(ctx), "/"); base != "" && e.Path != "" {
		link = base + e.Path
	}
	if r.Kind == Email {
		if s.opts.Mailer == nil {
			return 0, "", errors.New("no mail server is set: start the server with --smtp-url and --smtp-from")
		}
		text := e.Text
		if link != "" {
			text += "\n\n" + link
		}
		return 0, "", s.opts.Mailer.Send(ctx, r.Recipients, e.Title, strings.TrimSpace(text)+"\n")
	}
	body, err := render(r.Kind, e, link)
	if err != nil {
		return 0, "", err
	}
	header := http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Pratique"}}
	if r.Kind == Webhook {
		var secret []byte
		if len(r.Secret) > 0 {
			if secret, err = s.opts.Sealer.Open(r.purpose(), r.Secret); err != nil {
				return 0, "", fmt.Errorf("secret of receiver %s: %w", r.Name, err)
			}
		}
		if err := sign(header, secret, fmt.Sprintf("event_%d", e.ID), s.opts.Now(), body); err != nil {
			return 0, "", err
		}
	}
	address, err := s.address(r)
	if err != nil {
		return 0, "", err
	}
	status, content, err := s.opts.Poster.Post(ctx, address, header, body)
	if err != nil && strings.Contains(err.Error(), address) { // which people look at
		err = errors.New(strings.ReplaceAll(err.Error(), address, r.URL))
	}
	answer = cut(strings.ToValidUTF8(strings.ReplaceAll(string(content), "\x00", ""), "?"), 500)
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("%w %d", errAnswer, status)
	}
	return status, answer, err
}

// Redeliver tells a receiver once more what a delivery told it. It returns
// ErrNotFound.
func (s *Service) Redeliver(ctx context.Context, id int64) (Delivery, error) {
	d, r, err := s.store.Delivery(ctx, id)
	if err != nil {
		return Delivery{}, err
	}
	return s.tell(ctx, r, d.Event.ID)
}

// SendTest tells a receiver that it can be told.
func (s *Service) SendTest(ctx context.Context, name, by string) (Delivery, error) {
	r, err := s.store.Receiver(ctx, name)
	if err != nil {
		return Delivery{}, err
	}
	e := Event{Type: Test, At: s.opts.Now(), Title: "A test by " + by, Text: "Pratique reaches " + r.Name + "."}
	events := []Event{e}
	if err := s.store.AppendEvents(ctx, events); err != nil {
		return Delivery{}, err
	}
	return s.tell(ctx, r, events[0].ID)
}

func (s *Service) tell(ctx context.Context, r Receiver, event int64) (Delivery, error) {
	ids, err := s.store.Dispatch(ctx, nil, []Delivery{{ReceiverID: r.ID, Event: Event{ID: event}}})
	if err == nil {
		err = s.queue.EnqueueDeliveries(ctx, ids)
	}
	if err != nil {
		return Delivery{}, fmt.Errorf("tell %s: %w", r.Name, err)
	}
	d, _, err := s.store.Delivery(ctx, ids[0])
	return d, err
}

// Delivery returns one, or ErrNotFound.
func (s *Service) Delivery(ctx context.Context, id int64) (Delivery, error) {
	d, _, err := s.store.Delivery(ctx, id)
	return d, err
}

// Deliveries lists what a receiver was told, the newest first. It returns ErrNotFound.
func (s *Service) Deliveries(ctx context.Context, name string, before int64, limit int) ([]Delivery, error) {
	r, err := s.store.Receiver(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.store.Deliveries(ctx, r.ID, before, limit)
}
