package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/notify"
)

// Notify keeps who is told of what; *notify.Service does.
type Notify interface {
	Receivers(ctx context.Context) ([]notify.Receiver, error)
	Receiver(ctx context.Context, name string) (notify.Receiver, error)
	Create(ctx context.Context, r notify.Receiver) (notify.Receiver, error)
	Change(ctx context.Context, r notify.Receiver) (notify.Receiver, error)
	Delete(ctx context.Context, name string) error
	SendTest(ctx context.Context, name, by string) (notify.Delivery, error)
	Deliveries(ctx context.Context, name string, before int64, limit int) ([]notify.Delivery, error)
	Delivery(ctx context.Context, id int64) (notify.Delivery, error)
	Redeliver(ctx context.Context, id int64) (notify.Delivery, error)
}

// WebhookBody is what people say of a webhook.
type WebhookBody struct {
	Kind       string   `json:"kind" enum:"webhook,slack,teams,email"`
	URL        string   `json:"url,omitempty" doc:"Where it is told; for all kinds but email. It is stored encrypted, and of the kinds slack and teams only the host is shown, of others no query: what is shown, sent back, leaves it as it is."`
	Recipients []string `json:"recipients,omitempty" nullable:"false" doc:"E-mail addresses; for the kind email."`
	Events     []string `json:"events,omitempty" nullable:"false" doc:"The types of events; empty for all."`
	Registries []string `json:"registries,omitempty" nullable:"false" doc:"Only what is about these; empty for all. What is about no registry is always told."`
	// MinSeverity and ExploitedOnly concern events about vulnerabilities.
	MinSeverity   string `json:"min_severity,omitempty" enum:"unknown,negligible,low,medium,high,critical" doc:"Of events about vulnerabilities only those from this severity on."`
	ExploitedOnly bool   `json:"exploited_only,omitempty" doc:"Of events about vulnerabilities only those that are known to be exploited."`
	Enabled       *bool  `json:"enabled,omitempty" doc:"True where it is absent."`
}

// Webhook is who is told of what.
type Webhook struct {
	Name string `json:"name"`
	WebhookBody
	Signed    bool      `json:"signed" doc:"Whether there is a secret, which is never shown."`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	ETag      string    `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

func showWebhook(r notify.Receiver) Webhook {
	events := make([]string, len(r.Events))
	for i, e := range r.Events {
		events[i] = string(e)
	}
	enabled := r.Enabled
	return Webhook{
		Name: r.Name, Signed: len(r.Secret) > 0, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), ETag: etag(r.Version),
		WebhookBody: WebhookBody{Kind: string(r.Kind), URL: r.URL, Recipients: r.Recipients, Events: events, Registries: r.Registries,
			MinSeverity: r.MinSeverity.String(), ExploitedOnly: r.ExploitedOnly, Enabled: &enabled},
	}
}

// apply sets what a body says.
func (b WebhookBody) apply(r *notify.Receiver) error {
	r.Kind, r.URL, r.Recipients, r.Registries, r.ExploitedOnly = notify.Kind(b.Kind), b.URL, b.Recipients, b.Registries, b.ExploitedOnly
	r.Events, r.Enabled, r.MinSeverity = nil, b.Enabled == nil || *b.Enabled, advisory.Unknown
	for _, e := range b.Events {
		r.Events = append(r.Events, notify.Type(e))
	}
	if b.MinSeverity != "" {
		return r.MinSeverity.UnmarshalText([]byte(b.MinSeverity))
	}
	return nil
}

// WebhookDelivery is one event told to one webhook.
type WebhookDelivery struct {
	ID         int64           `json:"id"`
	Webhook    string          `json:"webhook"`
	EventID    int64           `json:"event_id"`
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Event      json.RawMessage `json:"event" doc:"What was told."`
	State      string          `json:"state" enum:"queued,delivered,failed"`
	Attempts   int             `json:"attempts"`
	Status     int             `json:"status" doc:"The HTTP status of the last answer, 0 where there was none."`
	Answer     string          `json:"answer" doc:"The start of the last answer."`
	Error      string          `json:"error"`
	CreatedAt  time.Time       `json:"created_at"`
	FinishedAt *time.Time      `json:"finished_at"`
}

func showDelivery(d notify.Delivery) WebhookDelivery {
	content, err := json.Marshal(d.Event)
	if err != nil { // texts and numbers always marshal
		panic(err)
	}
	return WebhookDelivery{
		ID: d.ID, Webhook: d.Receiver, EventID: d.Event.ID, Type: string(d.Event.Type), Title: d.Event.Title, Event: content, State: string(d.State),
		Attempts: d.Attempts, Status: d.Status, Answer: d.Answer, Error: d.Error, CreatedAt: d.CreatedAt.UTC(), FinishedAt: orNil(d.FinishedAt),
	}
}

type WebhookPath struct {
	Name string `path:"name" maxLength:"63"`
}

func taggedWebhook(r notify.Receiver) *tagged[Webhook] { return withTag(showWebhook(r), r.Version) }

func (a *API) webhooks() {
	const tag = "webhooks"
	register(a, operation{id: "list-webhooks", method: http.MethodGet, path: "/webhooks", tag: tag, administrators: true,
		summary: "List webhooks", doc: "Who is told of what: webhooks, Slack, Teams and e-mail. By name; always one page."}, a.listWebhooks)
	register(a, operation{id: "create-webhook", method: http.MethodPost, path: "/webhooks", tag: tag, status: http.StatusCreated, administrators: true,
		summary: "Create a webhook", doc: "What the kind webhook gets is signed by the Standard Webhooks specification where there is a secret: whsec_ and base64 of 24 to 64 bytes, or a text of that length. It is not shown again."}, a.createWebhook)
	register(a, operation{id: "get-webhook", method: http.MethodGet, path: "/webhooks/{name}", tag: tag, administrators: true,
		summary: "Show a webhook"}, a.webhook)
	register(a, operation{id: "replace-webhook", method: http.MethodPut, path: "/webhooks/{name}", tag: tag, administrators: true,
		summary: "Change a webhook", doc: "Replaces all but its name and, where none is sent, its secret; an empty secret is none any more. With If-Match only where nobody else has changed it."}, a.replaceWebhook)
	register(a, operation{id: "delete-webhook", method: http.MethodDelete, path: "/webhooks/{name}", tag: tag, status: http.StatusNoContent, administrators: true,
		summary: "Delete a webhook"}, a.deleteWebhook)
	register(a, operation{id: "test-webhook", method: http.MethodPost, path: "/webhooks/{name}/test", tag: tag, status: http.StatusAccepted, administrators: true,
		summary: "Tell a webhook that it can be told", doc: "Answers with the delivery; look at it again for what became of it."}, a.testWebhook)
	register(a, operation{id: "list-webhook-deliveries", method: http.MethodGet, path: "/webhooks/{name}/deliveries", tag: tag, administrators: true,
		summary: "List what a webhook was told", doc: "The newest first."}, a.listDeliveries)
	register(a, operation{id: "get-webhook-delivery", method: http.MethodGet, path: "/webhook-deliveries/{id}", tag: tag, administrators: true,
		summary: "Show a delivery"}, a.delivery)
	register(a, operation{id: "redeliver", method: http.MethodPost, path: "/webhook-deliveries/{id}/redeliver", tag: tag, status: http.StatusAccepted, administrators: true,
		summary: "Tell it once more"}, a.redeliver)
}

func (a *API) listWebhooks(ctx context.Context, _ *struct{}) (*listed[Webhook], error) {
	receivers, err := a.Notify.Receivers(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[Webhook]{List[Webhook]{Items: make([]Webhook, len(receivers))}}
	for i, r := range receivers {
		out.Body.Items[i] = showWebhook(r)
	}
	return out, nil
}

func (a *API) createWebhook(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name"`
		WebhookBody
		Secret string `json:"secret,omitempty" format:"password"`
	}
}) (*tagged[Webhook], error) {
	r := notify.Receiver{Name: in.Body.Name}
	if err := in.Body.apply(&r); err != nil {
		return nil, err
	}
	if in.Body.Secret != "" {
		r.Secret = []byte(in.Body.Secret)
	}
	r, err := a.Notify.Create(ctx, r)
	if err != nil {
		return nil, err
	}
	return taggedWebhook(r), a.audit(ctx, "webhook.create", "webhook "+r.Name, showWebhook(r))
}

func (a *API) webhook(ctx context.Context, in *WebhookPath) (*tagged[Webhook], error) {
	r, err := a.Notify.Receiver(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return taggedWebhook(r), nil
}

func (a *API) replaceWebhook(ctx context.Context, in *struct {
	WebhookPath
	IfMatch
	Body struct {
		WebhookBody
		Secret *string `json:"secret,omitempty" format:"password"`
	}
}) (*tagged[Webhook], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	r, err := a.Notify.Receiver(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	if version != 0 {
		r.Version = version
	}
	r.Secret = nil
	if in.Body.Secret != nil {
		r.Secret = []byte(*in.Body.Secret)
	}
	if err := in.Body.apply(&r); err != nil {
		return nil, err
	}
	if r, err = a.Notify.Change(ctx, r); err != nil {
		return nil, err
	}
	return taggedWebhook(r), a.audit(ctx, "webhook.change", "webhook "+r.Name, showWebhook(r))
}

func (a *API) deleteWebhook(ctx context.Context, in *WebhookPath) (*struct{}, error) {
	if err := a.Notify.Delete(ctx, in.Name); err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "webhook.delete", "webhook "+in.Name, struct{}{})
}

func (a *API) testWebhook(ctx context.Context, in *WebhookPath) (*one[WebhookDelivery], error) {
	d, err := a.Notify.SendTest(ctx, in.Name, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	return &one[WebhookDelivery]{showDelivery(d)}, nil
}

func (a *API) listDeliveries(ctx context.Context, in *struct {
	WebhookPath
	Paging
}) (*listed[WebhookDelivery], error) {
	list := "deliveries of " + in.Name
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Notify.Deliveries(ctx, in.Name, orZero(before), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(d notify.Delivery) int64 { return d.ID }, showDelivery), nil
}

type DeliveryPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) delivery(ctx context.Context, in *DeliveryPath) (*one[WebhookDelivery], error) {
	d, err := a.Notify.Delivery(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[WebhookDelivery]{showDelivery(d)}, nil
}

func (a *API) redeliver(ctx context.Context, in *DeliveryPath) (*one[WebhookDelivery], error) {
	d, err := a.Notify.Redeliver(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[WebhookDelivery]{showDelivery(d)}, a.audit(ctx, "webhook.redeliver", "webhook "+d.Receiver, struct {
		Delivery int64 `json:"delivery"`
	}{d.ID})
}
