package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// Key is an API key.
type Key struct {
	ID         int64        `json:"id"`
	UserID     int64        `json:"user_id"`
	Name       string       `json:"name"`
	Prefix     string       `json:"prefix" doc:"How the key begins."`
	Key        string       `json:"key,omitempty" doc:"The key itself: shown once, when it is made."`
	CreatedAt  time.Time    `json:"created_at"`
	ExpiresAt  *time.Time   `json:"expires_at"`
	LastUsedAt *time.Time   `json:"last_used_at" doc:"To the minute."`
	Limited    bool         `json:"limited" doc:"Whether it may do only what its scope says; else all that its user may."`
	Scope      []ScopedRole `json:"scope" nullable:"false" doc:"What a limited key may do, of what its user may."`
}

func showKey(k auth.Key) Key {
	return Key{ID: k.ID, UserID: k.UserID, Name: k.Name, Prefix: k.Prefix, CreatedAt: k.CreatedAt.UTC(),
		ExpiresAt: orNil(k.ExpiresAt), LastUsedAt: orNil(k.LastUsedAt), Limited: k.Limited, Scope: showGrants(k.Scope)}
}

func (a *API) keys() {
	const tag = "api-keys"
	register(a, operation{id: "list-api-keys", access: access{place: ownAccount}, method: http.MethodGet, path: "/api-keys", tag: tag,
		summary: "List API keys", doc: "One's own; administrators see everyone's. Always one page."}, a.listKeys)
	register(a, operation{id: "create-api-key", access: access{place: ownAccount}, method: http.MethodPost, path: "/api-keys", tag: tag, status: http.StatusCreated,
		summary: "Make an API key for oneself"}, a.createKey)
	register(a, operation{id: "revoke-api-key", access: access{place: ownAccount}, method: http.MethodDelete, path: "/api-keys/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Revoke an API key"}, a.revokeKey)
}

// visibleKeys are those that the principal may see and revoke.
func (a *API) visibleKeys(ctx context.Context) ([]auth.Key, error) {
	p := principal(ctx)
	if p.Administrator {
		return a.Users.Keys(ctx, 0)
	}
	return a.Users.Keys(ctx, p.UserID)
}

func (a *API) listKeys(ctx context.Context, _ *struct{}) (*listed[Key], error) {
	keys, err := a.visibleKeys(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[Key]{List[Key]{Items: make([]Key, len(keys))}}
	for i, k := range keys {
		out.Body.Items[i] = showKey(k)
	}
	return out, nil
}

func (a *API) createKey(ctx context.Context, in *struct {
	Body struct {
		Name      string       `json:"name"`
		ExpiresAt time.Time    `json:"expires_at,omitempty"`
		Scope     []ScopedRole `json:"scope,omitempty" nullable:"false" minItems:"1" maxItems:"200" doc:"What the key may do, of what one may oneself; absent: all. A limited key looks after no keys or passwords, and is no administrator's."`
	}
}) (*one[Key], error) {
	wanted := auth.NewKey{Name: in.Body.Name, ExpiresAt: in.Body.ExpiresAt, Limited: len(in.Body.Scope) > 0, Scope: grantsOf(in.Body.Scope)}
	k, secret, err := a.Users.CreateKey(ctx, principal(ctx), wanted)
	if err != nil {
		return nil, err
	}
	shown := showKey(k)
	if err := a.audit(ctx, "api-key.create", "API key "+k.Prefix, shown); err != nil {
		return nil, err
	}
	shown.Key = secret
	return &one[Key]{shown}, nil
}

func (a *API) revokeKey(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*struct{}, error) {
	keys, err := a.visibleKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if k.ID == in.ID {
			if err := a.Users.RevokeKey(ctx, k.ID); err != nil {
				return nil, err
			}
			return nil, a.audit(ctx, "api-key.revoke", "API key "+k.Prefix, struct{}{})
		}
	}
	return nil, notFound("API key %d", in.ID)
}
