// Package admission answers Kubernetes clusters that ask, before they run
// something, whether its images may be pulled: a validating admission webhook.
// The answer is that of the pull gate.
//
// It knows the protocol only. What may be pulled, and who may ask, is asked of
// others.
package admission

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/policy"
)

// Path is where the webhook is; a token may follow it.
const Path = "/admission/v1/review"

// Gate says whether an image may be pulled.
type Gate interface {
	Verdict(ctx context.Context, pull policy.Pull) (policy.Verdict, error)
}

// Finder finds the images that references name.
type Finder interface {
	Find(ctx context.Context, text string, hosts []string, bare bool) (policy.Pull, error)
}

// Clusters knows how clusters are answered, and by what they prove themselves.
type Clusters interface {
	Admission(ctx context.Context) (policy.Admission, int64, error)
	// Authenticate returns policy.ErrNotFound for a secret that is none.
	Authenticate(ctx context.Context, secret string) (policy.Token, error)
}

// Authenticator says who makes a request, of those who use the server otherwise.
type Authenticator interface {
	Authenticate(r *http.Request) (auth.Principal, error)
}

// Options are the choices of a Handler. The zero value is usable.
type Options struct {
	// Witness is told of what was refused, where not nil.
	Witness policy.Witness
	// BaseURL is where people look at images, for the text of a refusal; nil or
	// "" where that is not known.
	BaseURL func(context.Context) string
	Logger  *slog.Logger
}

// Handler serves the webhook.
type Handler struct {
	gate     Gate
	finder   Finder
	clusters Clusters
	auth     Authenticator
	opts     Options
}

// New returns the handler.
func New(gate Gate, finder Finder, clusters Clusters, authenticator Authenticator, opts Options) *Handler {
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	return &Handler{gate: gate, finder: finder, clusters: clusters, auth: authenticator, opts: opts}
}

// failure is an answer that is no review: the cluster does then as the webhook's
// failurePolicy says.
type failure struct {
	status int
	text   string
}

func (f *failure) Error() string { return f.text }

// ServeHTTP answers a review.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	answer, err := h.serve(w, r)
	if err == nil {
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(answer); err != nil {
			h.opts.Logger.DebugContext(r.Context(), "the cluster has gone", "error", err)
		}
		return
	}
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{http.StatusInternalServerError, "internal error"}
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			f = &failure{http.StatusServiceUnavailable, "there was no time to judge the images"}
		}
		h.opts.Logger.ErrorContext(r.Context(), "an admission review was not answered", "error", err)
	}
	http.Error(w, f.text, f.status)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return nil, &failure{http.StatusMethodNotAllowed, "the webhook takes POST"}
	}
	patience, err := patienceOf(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	who, err := h.authenticate(ctx, w, r)
	if err != nil {
		return nil, err
	}
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return nil, &failure{http.StatusUnsupportedMediaType, "want Content-Type application/json"}
	}
	// A body that trickles in must not hold the request beyond its time.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience)) // not every writer can
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return nil, &failure{http.StatusRequestEntityTooLarge, fmt.Sprintf("the review has more than %d bytes", maxBody)}
		}
		return nil, &failure{http.StatusBadRequest, "the body ended early or came too slowly"}
	}
	review, err := parse(body)
	if err != nil {
		return nil, &failure{http.StatusBadRequest, err.Error()}
	}
	return h.answer(ctx, review, who)
}

// The time that Kubernetes gives a webhook, and what of it is left for the way.
const (
	defaultPatience = 10 * time.Second
	maxPatience     = 30 * time.Second
)

// patienceOf is how long a review may take: Kubernetes adds the webhook's
// time-out to the query.
func patienceOf(r *http.Request) (time.Duration, error) {
	patience := defaultPatience
	if text := r.URL.Query().Get("timeout"); text != "" {
		given, err := time.ParseDuration(text)
		if err != nil || given <= 0 {
			return 0, &failure{http.StatusBadRequest, fmt.Sprintf("timeout: %q is not a duration such as 10s", clip(text))}
		}
		patience = min(given, maxPatience)
	}
	return patience - min(patience/5, time.Second), nil
}

// authenticate returns the name of who asks: a cluster by its token, in the path
// or as Bearer, or anyone who has an account.
func (h *Handler) authenticate(ctx context.Context, w http.ResponseWriter, r *http.Request) (string, error) {
	secret := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, Path), "/")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && secret == "" {
		secret = strings.TrimSpace(bearer)
	}
	if secret != "" {
		token, err := h.clusters.Authenticate(ctx, secret)
		if err == nil {
			return "cluster " + token.Name, nil
		}
		if !errors.Is(err, policy.ErrNotFound) {
			return "", err
		}
	}
	if r.URL.Path == Path {
		p, err := h.auth.Authenticate(r)
		switch {
		case errors.Is(err, auth.ErrThrottled):
			w.Header().Set("Retry-After", "60")
			return "", &failure{http.StatusTooManyRequests, err.Error()}
		case err == nil && !p.Anonymous():
			if !p.MayEverywhere(auth.Read) {
				return "", &failure{http.StatusForbidden, "only who may read all registries may ask"}
			}
			return p.Name, nil
		case err != nil && !errors.Is(err, auth.ErrCredentials):
			return "", err
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="Pratique"`)
	return "", &failure{http.StatusUnauthorized, "an admission token is wanted, in the path or as a Bearer token"}
}

// answer judges the images of a review.
func (h *Handler) answer(ctx context.Context, r review, who string) ([]byte, error) {
	settings, _, err := h.clusters.Admission(ctx)
	if err != nil {
		return nil, err
	}
	judged := make([]judgement, len(r.Images))
	group, running := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, image := range r.Images {
		group.Go(func() (err error) {
			judged[i], err = h.judge(running, image, settings)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	var refused, warnings []string
	if len(settings.Hosts) == 0 && h.opts.BaseURL(ctx) == "" && settings.UnknownImages == policy.Allow {
		// Else nothing would tell that each review is passed unseen.
		warnings = []string{"no image is judged, for this server does not know its own name: set its base URL, or the hosts of admission"}
	}
	for _, j := range judged {
		refused = append(refused, j.refused...)
		warnings = append(warnings, j.warnings...)
		if len(j.refused) > 0 && j.pull.Digest != "" && !r.DryRun && h.opts.Witness != nil {
			j.pull.User = who
			h.opts.Witness.Refused(j.pull, j.verdict)
		}
	}
	return encode(r.UID, refused, warnings)
}

// judgement is what is said of one image.
type judgement struct {
	refused, warnings []string
	pull              policy.Pull
	verdict           policy.Verdict
}

func (h *Handler) judge(ctx context.Context, image wanted, settings policy.Admission) (j judgement, err error) {
	j.pull, err = h.finder.Find(ctx, image.Reference, settings.Hosts, false)
	switch {
	case errors.Is(err, policy.ErrElsewhere), errors.Is(err, policy.ErrAbsent), errors.Is(err, policy.ErrReference):
		text := fmt.Sprintf("image %s is not judged: this server does not hold it", clip(image.Reference))
		switch {
		case settings.UnknownImages == policy.Deny && !image.Running:
			j.refused = []string{text}
		case settings.UnknownImages != policy.Allow:
			j.warnings = []string{text}
		}
		return j, nil
	case err != nil:
		return j, err
	}
	if j.verdict, err = h.gate.Verdict(ctx, j.pull); err != nil {
		return j, err
	}
	about := "image " + clip(image.Reference)
	for _, w := range j.verdict.Warnings {
		j.warnings = append(j.warnings, about+": "+w.Message)
	}
	if j.verdict.Blocked {
		blocked := &policy.BlockedError{Place: j.pull.Place, Reasons: j.verdict.Reasons}
		if text := blocked.Error(); image.Running {
			j.warnings = append([]string{text}, j.warnings...)
		} else {
			if base := strings.TrimSuffix(h.opts.BaseURL(ctx), "/"); base != "" {
				text += "; see " + base + "/images/" + j.pull.Digest
			}
			j.refused = []string{text}
		}
	}
	return j, nil
}

// Kubernetes cuts warnings beyond these lengths, in bytes.
const (
	maxWarning  = 256
	maxWarnings = 4096
)

// encode writes the answer.
func encode(uid string, refused, warnings []string) ([]byte, error) {
	type status struct {
		Code    int    `json:"code"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
	type response struct {
		UID      string   `json:"uid"`
		Allowed  bool     `json:"allowed"`
		Status   *status  `json:"status,omitempty"`
		Warnings []string `json:"warnings,omitempty"`
	}
	out := response{UID: uid, Allowed: len(refused) == 0}
	if !out.Allowed {
		out.Status = &status{http.StatusForbidden, "Forbidden", strings.Join(refused, "\n")}
	}
	size := 0
	for _, text := range warnings {
		text = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, text)
		if len(text) > maxWarning {
			text = strings.ToValidUTF8(text[:maxWarning-3], "") + "..."
		}
		if size += len(text); size > maxWarnings {
			break
		}
		out.Warnings = append(out.Warnings, text)
	}
	return json.Marshal(struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Response   response `json:"response"`
	}{apiVersion, kind, out})
}
