package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/pratique/pratique/internal/audit"
)

// Audit keeps who changed what and when. It only grows.
type Audit interface {
	// AppendAudit stores an entry; the store gives it its id and time.
	AppendAudit(ctx context.Context, e audit.Entry) error
	// AuditEntries lists in the order of the filter.
	AuditEntries(ctx context.Context, f audit.Filter) ([]audit.Entry, error)
	// AuditActions lists the actions that there are entries of, by name.
	AuditActions(ctx context.Context) ([]string, error)
}

// AuditEntry is a change that someone made.
type AuditEntry struct {
	ID     int64           `json:"id"`
	At     time.Time       `json:"at"`
	Actor  string          `json:"actor"`
	Action string          `json:"action" example:"registry.create"`
	Object string          `json:"object"`
	Detail json.RawMessage `json:"detail"`
}

// audit writes the entry of a change that was made.
func (a *API) audit(ctx context.Context, action, object string, detail any) error {
	text, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("audit %s of %s: %w", action, object, err)
	}
	// The change is made, whether or not the client still listens.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := a.Audit.AppendAudit(ctx, audit.Entry{Actor: principal(ctx).Name, Action: action, Object: object, Detail: text}); err != nil {
		return fmt.Errorf("audit %s of %s: %w", action, object, err)
	}
	return nil
}

func (a *API) auditLog() {
	register(a, operation{id: "list-audit-log", method: http.MethodGet, path: "/audit-log", tag: "audit-log",
		summary: "List changes", administrators: true}, a.listAuditLog)
	register(a, operation{id: "list-audit-actions", method: http.MethodGet, path: "/audit-log/actions", tag: "audit-log",
		summary: "List the kinds of changes that were made", doc: "By name; always one page.", administrators: true}, a.listAuditActions)
	register(a, operation{id: "export-audit-log", method: http.MethodGet, path: "/audit-log/export", tag: "audit-log",
		summary: "Export changes", doc: "All of them that the filter lets through, as a file.", administrators: true}, a.exportAuditLog)
	a.huma.OpenAPI().Paths["/audit-log/export"].Get.Responses["200"].Content = map[string]*huma.MediaType{
		csvType: {Schema: &huma.Schema{Type: huma.TypeString}}, linesType: {Schema: &huma.Schema{Type: huma.TypeString}}}
}

// linesType is that of a JSON object a line.
const linesType = "application/jsonl"

// AuditFilter says which changes are meant, in which order.
type AuditFilter struct {
	Actor  string    `query:"actor" maxLength:"200" doc:"Only changes that this user, key or part of the program made."`
	Action string    `query:"action" maxLength:"200" doc:"Only these changes; with a dot at the end, all of a kind of thing." example:"registry."`
	Object string    `query:"q" maxLength:"200" doc:"A part of what was changed, in any case."`
	Since  time.Time `query:"since" doc:"Only changes of then or later."`
	Before time.Time `query:"before" doc:"Only changes before."`
	Order  string    `query:"order" enum:"asc,desc" default:"desc" doc:"The oldest, or the newest, first."`
}

func (f AuditFilter) filter(after int64, limit int) audit.Filter {
	return audit.Filter{Actor: f.Actor, Action: f.Action, Object: f.Object, Since: f.Since, Before: f.Before, Oldest: f.Order == "asc", After: after, Limit: limit}
}

func showAuditEntry(e audit.Entry) AuditEntry {
	return AuditEntry{ID: e.ID, At: e.At.UTC(), Actor: e.Actor, Action: e.Action, Object: e.Object, Detail: e.Detail}
}

func (a *API) listAuditLog(ctx context.Context, in *struct {
	AuditFilter
	Paging
}) (*listed[AuditEntry], error) {
	list := "audit-log " + in.Order
	from, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	entries, err := a.Audit.AuditEntries(ctx, in.filter(orZero(from), in.PageSize+1))
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, entries, func(e audit.Entry) int64 { return e.ID }, showAuditEntry), nil
}

// AuditAction is a kind of change.
type AuditAction struct {
	Action string `json:"action" example:"registry.create"`
}

func (a *API) listAuditActions(ctx context.Context, _ *struct{}) (*listed[AuditAction], error) {
	actions, err := a.Audit.AuditActions(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[AuditAction]{List[AuditAction]{Items: make([]AuditAction, len(actions))}}
	for i, action := range actions {
		out.Body.Items[i] = AuditAction{action}
	}
	return out, nil
}
