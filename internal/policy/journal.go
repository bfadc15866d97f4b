package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/audit"
)

// Audit keeps who did what and when.
type Audit interface {
	AppendAudit(ctx context.Context, e audit.Entry) error
}

// Journal writes refused pulls to the audit log: for each image and user one
// entry at once, and one that counts where there were more within a span of
// time. A node that asks every few minutes must not bury what people did.
type Journal struct {
	audit Audit
	opts  JournalOptions

	mu    sync.Mutex
	spans map[refused]*span
	wake  chan struct{}
}

// JournalOptions are the choices of a Journal.
type JournalOptions struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Span is how long refusals of one image and user are counted together; an
	// hour where zero.
	Span time.Duration
	// MaxSpans bounds how many are counted at a time; 10,000 where zero. Beyond,
	// all are written and counting starts anew.
	MaxSpans int
	// Action is that of the entries; "pull.refuse" where empty.
	Action string
	Log    *slog.Logger
}

// Anyone is the actor of pulls that nobody signed in for.
const Anyone = "anyone"

// refused is what refusals are counted by.
type refused struct {
	assess.Place
	user string
}

// span is the refusals of one kind since the first.
type span struct {
	first, last time.Time
	count       int
	tag         string
	reasons     []Reason
	refusal     Refusal
	written     bool
}

// NewJournal returns a journal; Run writes it.
func NewJournal(a Audit, opts JournalOptions) *Journal {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Span == 0 {
		opts.Span = time.Hour
	}
	if opts.MaxSpans == 0 {
		opts.MaxSpans = 10_000
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Action = cmp.Or(opts.Action, "pull.refuse")
	return &Journal{audit: a, opts: opts, spans: make(map[refused]*span), wake: make(chan struct{}, 1)}
}

// Refused counts a refused pull. It does not wait for the database.
func (j *Journal) Refused(pull Pull, v Verdict) {
	now := j.opts.Now()
	key := refused{pull.Place, cmp.Or(pull.User, Anyone)}
	j.mu.Lock()
	s := j.spans[key]
	if s == nil && len(j.spans) >= 2*j.opts.MaxSpans { // the database does not keep up
		j.mu.Unlock()
		j.opts.Log.Warn("a refused pull is not in the audit log: there are too many", "image", pull.Place, "user", key.user)
		return
	}
	if s == nil {
		s = &span{first: now, tag: pull.Tag, reasons: v.Reasons, refusal: v.Refusal}
		j.spans[key] = s
	}
	s.count, s.last = s.count+1, now
	fresh := s.count == 1
	j.mu.Unlock()
	if fresh {
		select {
		case j.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// Run writes what was counted until ctx is done, and then the rest.
func (j *Journal) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second * 10)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			j.write(last, true)
			return nil
		case <-j.wake:
		case <-tick.C:
		}
		j.Write(ctx)
	}
}

// Write writes the entries that are due.
func (j *Journal) Write(ctx context.Context) { j.write(ctx, false) }

func (j *Journal) write(ctx context.Context, all bool) {
	for _, e := range j.due(all) {
		if err := j.audit.AppendAudit(ctx, e); err != nil {
			// The pull was refused all the same.
			j.opts.Log.ErrorContext(ctx, "a refused pull is not in the audit log", "object", e.Object, "actor", e.Actor, "error", err)
		}
	}
}

// due makes the entries to write now: of what was refused for the first time,
// and of spans that have ended.
func (j *Journal) due(all bool) (entries []audit.Entry) {
	now := j.opts.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	all = all || len(j.spans) >= j.opts.MaxSpans
	for key, s := range j.spans {
		if !s.written {
			entries = append(entries, j.entry(key, s, 1, s.first))
			s.written = true
		}
		if !all && now.Sub(s.first) < j.opts.Span {
			continue
		}
		if s.count > 1 {
			entries = append(entries, j.entry(key, s, s.count, s.last))
		}
		delete(j.spans, key)
	}
	return entries
}

func (j *Journal) entry(key refused, s *span, count int, last time.Time) audit.Entry {
	const shown = 10
	messages := make([]string, 0, min(len(s.reasons), shown))
	for _, r := range s.reasons[:min(len(s.reasons), shown)] {
		messages = append(messages, r.Message)
	}
	detail, err := json.Marshal(struct {
		Tag     string    `json:"tag,omitempty"`
		Count   int       `json:"count"`
		First   time.Time `json:"first_at"`
		Last    time.Time `json:"last_at"`
		Answer  Refusal   `json:"answer,omitempty"`
		Reasons []string  `json:"reasons"`
		More    int       `json:"more_reasons,omitempty"`
	}{s.tag, count, s.first.UTC(), last.UTC(), s.refusal, messages, max(0, len(s.reasons)-shown)})
	if err != nil { // texts, numbers and times always marshal
		panic(err)
	}
	return audit.Entry{Actor: key.user, Action: j.opts.Action, Object: "image " + key.Registry + "/" + key.Repository + "@" + key.Digest, Detail: detail}
}
