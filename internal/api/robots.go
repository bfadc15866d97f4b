package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// Robot is a program that signs in with a secret of its own.
type Robot struct {
	ID          int64        `json:"id"`
	Name        string       `json:"name"`
	Login       string       `json:"login" doc:"The name by which it signs in, with its secret as the password." example:"robot+ci"`
	Description string       `json:"description"`
	Registry    string       `json:"registry" doc:"The one that it belongs to; empty for all."`
	Roles       []ScopedRole `json:"roles" nullable:"false"`
	Prefix      string       `json:"prefix" doc:"How its secret begins."`
	Secret      string       `json:"secret,omitempty" doc:"Shown once, when it is made."`
	Disabled    bool         `json:"disabled"`
	CreatedBy   string       `json:"created_by"`
	CreatedAt   time.Time    `json:"created_at"`
	ExpiresAt   *time.Time   `json:"expires_at"`
	LastUsedAt  *time.Time   `json:"last_used_at" doc:"To the minute."`
}

func showRobot(r auth.Robot) Robot {
	return Robot{ID: r.ID, Name: r.Name, Login: auth.RobotPrefix + r.Name, Description: r.Description, Registry: r.Registry, Roles: showGrants(r.Grants),
		Prefix: r.Prefix, Disabled: r.Disabled, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt.UTC(), ExpiresAt: orNil(r.ExpiresAt), LastUsedAt: orNil(r.LastUsedAt)}
}

type RobotPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) robots() {
	const tag = "robots"
	const who = "For who may administer the registry that it belongs to, or all where it belongs to none."
	may := access{place: signedIn}
	register(a, operation{id: "list-robots", method: http.MethodGet, path: "/robots", tag: tag, access: may,
		summary: "List robots", doc: "Those of registries that one may administer, by name; always one page."}, a.listRobots)
	register(a, operation{id: "create-robot", method: http.MethodPost, path: "/robots", tag: tag, status: http.StatusCreated, access: may,
		summary: "Make a robot", doc: who}, a.createRobot)
	register(a, operation{id: "change-robot", method: http.MethodPatch, path: "/robots/{id}", tag: tag, access: may,
		summary: "Change a robot", doc: "What is absent stays. " + who}, a.changeRobot)
	register(a, operation{id: "renew-robot", method: http.MethodPost, path: "/robots/{id}/secret", tag: tag, access: may,
		summary: "Give a robot another secret", doc: "The former is worth nothing from now on. " + who}, a.renewRobot)
	register(a, operation{id: "delete-robot", method: http.MethodDelete, path: "/robots/{id}", tag: tag, status: http.StatusNoContent, access: may,
		summary: "Delete a robot", doc: "What it is pushing is refused at its next request. " + who}, a.deleteRobot)
}

// looksAfter reports whether a principal may administer where robots belong.
func looksAfter(p auth.Principal, registry string) bool {
	if registry == "" {
		return p.MayEverywhere(auth.Administer)
	}
	return p.May(auth.Administer, registry)
}

// ownRobot is one that the principal looks after.
func (a *API) ownRobot(ctx context.Context, id int64) (auth.Robot, error) {
	r, err := a.Users.Robot(ctx, id)
	if err == nil && !looksAfter(principal(ctx), r.Registry) {
		err = auth.ErrNotFound
	}
	if err != nil {
		return auth.Robot{}, fmt.Errorf("robot %d: %w", id, err)
	}
	return r, nil
}

func (a *API) listRobots(ctx context.Context, _ *struct{}) (*listed[Robot], error) {
	robots, err := a.Users.Robots(ctx)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	robots = slices.DeleteFunc(robots, func(r auth.Robot) bool { return !looksAfter(p, r.Registry) })
	out := &listed[Robot]{List[Robot]{Items: make([]Robot, len(robots))}}
	for i, r := range robots {
		out.Body.Items[i] = showRobot(r)
	}
	return out, nil
}

func (a *API) createRobot(ctx context.Context, in *struct {
	Body struct {
		Name        string       `json:"name" maxLength:"60" doc:"Lower-case letters and digits, separated by one of . _ -."`
		Description string       `json:"description,omitempty" maxLength:"1000"`
		Registry    string       `json:"registry,omitempty" maxLength:"64" doc:"The one that it belongs to; empty for all."`
		Roles       []ScopedRole `json:"roles" nullable:"false" minItems:"1" maxItems:"200" doc:"In the registry that it belongs to."`
		ExpiresAt   time.Time    `json:"expires_at,omitempty"`
	}
}) (*one[Robot], error) {
	b, p := in.Body, principal(ctx)
	switch {
	case b.Registry != "":
		if err := mayIn(p, auth.Administer, b.Registry); err != nil {
			return nil, err
		}
	case !looksAfter(p, ""):
		return nil, forbiddenError{"only who may administer all registries may make robots of all"}
	}
	r, secret, err := a.Users.CreateRobot(ctx, p, auth.Robot{Name: b.Name, Description: b.Description, Registry: b.Registry, Grants: grantsOf(b.Roles), ExpiresAt: b.ExpiresAt})
	if err != nil {
		return nil, err
	}
	shown := showRobot(r)
	if err := a.audit(ctx, "robot.create", "robot "+r.Name, shown); err != nil {
		return nil, err
	}
	shown.Secret = secret
	return &one[Robot]{shown}, nil
}

func (a *API) changeRobot(ctx context.Context, in *struct {
	RobotPath
	Body struct {
		Description *string             `json:"description,omitempty" maxLength:"1000"`
		Disabled    *bool               `json:"disabled,omitempty"`
		ExpiresAt   Optional[time.Time] `json:"expires_at,omitempty" doc:"Null: never."`
	}
}) (*one[Robot], error) {
	if _, err := a.ownRobot(ctx, in.ID); err != nil {
		return nil, err
	}
	change := auth.RobotChange{Description: in.Body.Description, Disabled: in.Body.Disabled}
	if in.Body.ExpiresAt.Sent {
		change.ExpiresAt = &in.Body.ExpiresAt.Value
	}
	r, err := a.Users.ChangeRobot(ctx, principal(ctx), in.ID, change)
	if err != nil {
		return nil, err
	}
	shown := showRobot(r)
	return &one[Robot]{shown}, a.audit(ctx, "robot.change", "robot "+r.Name, shown)
}

func (a *API) renewRobot(ctx context.Context, in *RobotPath) (*one[Robot], error) {
	if _, err := a.ownRobot(ctx, in.ID); err != nil {
		return nil, err
	}
	r, secret, err := a.Users.RenewRobot(ctx, principal(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	shown := showRobot(r)
	if err := a.audit(ctx, "robot.renew", "robot "+r.Name, shown); err != nil {
		return nil, err
	}
	shown.Secret = secret
	return &one[Robot]{shown}, nil
}

func (a *API) deleteRobot(ctx context.Context, in *RobotPath) (*struct{}, error) {
	r, err := a.ownRobot(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.Users.DeleteRobot(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "robot.delete", "robot "+r.Name, struct{}{})
}
