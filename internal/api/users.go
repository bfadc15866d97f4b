package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/auth"
)

// Users keeps users, groups, roles, robots and API keys; *auth.Service is one.
type Users interface {
	CreateUser(ctx context.Context, name, password string, administrator bool) (auth.User, error)
	Users(ctx context.Context) ([]auth.User, error)
	User(ctx context.Context, id int64) (auth.User, error)
	SetPassword(ctx context.Context, id int64, password, tag string) error
	DeleteUser(ctx context.Context, id int64) error
	CreateKey(ctx context.Context, p auth.Principal, wanted auth.NewKey) (k auth.Key, secret string, err error)
	Keys(ctx context.Context, userID int64) ([]auth.Key, error)
	RevokeKey(ctx context.Context, id int64) error

	Groups(ctx context.Context) ([]auth.Group, error)
	Group(ctx context.Context, id int64) (auth.Group, error)
	CreateGroup(ctx context.Context, g auth.Group) (auth.Group, error)
	ChangeGroup(ctx context.Context, id int64, c auth.GroupChange) (auth.Group, error)
	DeleteGroup(ctx context.Context, id int64) error
	AddMember(ctx context.Context, group, user int64) error
	RemoveMember(ctx context.Context, group, user int64) error

	Roles(ctx context.Context, f auth.GrantFilter) ([]auth.RoleGrant, error)
	GrantRole(ctx context.Context, by auth.Principal, g auth.RoleGrant) (auth.RoleGrant, error)
	RevokeRole(ctx context.Context, id int64, registry string) (auth.RoleGrant, error)

	Robots(ctx context.Context) ([]auth.Robot, error)
	Robot(ctx context.Context, id int64) (auth.Robot, error)
	CreateRobot(ctx context.Context, by auth.Principal, r auth.Robot) (auth.Robot, string, error)
	ChangeRobot(ctx context.Context, by auth.Principal, id int64, c auth.RobotChange) (auth.Robot, error)
	RenewRobot(ctx context.Context, by auth.Principal, id int64) (auth.Robot, string, error)
	DeleteRobot(ctx context.Context, id int64) error
}

// User is someone who can sign in.
type User struct {
	ID            int64     `json:"id"`
	Name          string    `json:"name"`
	Administrator bool      `json:"administrator"`
	Issuer        string    `json:"issuer,omitempty" doc:"The provider at which they sign in, where that made them."`
	CreatedAt     time.Time `json:"created_at"`
	ETag          string    `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

func showUser(u auth.User) User {
	return User{ID: u.ID, Name: u.Name, Administrator: u.Administrator, Issuer: u.Issuer, CreatedAt: u.CreatedAt.UTC(), ETag: quoted(u.Tag)}
}

type UserPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) users() {
	const tag = "users"
	register(a, operation{id: "list-users", method: http.MethodGet, path: "/users", tag: tag,
		summary: "List users", doc: "By name; always one page.", administrators: true}, a.listUsers)
	register(a, operation{id: "create-user", method: http.MethodPost, path: "/users", tag: tag, status: http.StatusCreated,
		summary: "Create a user", administrators: true}, a.createUser)
	register(a, operation{id: "change-user", access: access{place: ownAccount}, method: http.MethodPatch, path: "/users/{id}", tag: tag,
		summary: "Set a user's password", doc: "Administrators set anyone's, others their own."}, a.changeUser)
	register(a, operation{id: "delete-user", method: http.MethodDelete, path: "/users/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Delete a user and their API keys", administrators: true}, a.deleteUser)
}

func (a *API) listUsers(ctx context.Context, _ *struct{}) (*listed[User], error) {
	users, err := a.Users.Users(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[User]{List[User]{Items: make([]User, len(users))}}
	for i, u := range users {
		out.Body.Items[i] = showUser(u)
	}
	return out, nil
}

func (a *API) createUser(ctx context.Context, in *struct {
	Body struct {
		Name          string `json:"name"`
		Password      string `json:"password" format:"password"`
		Administrator bool   `json:"administrator,omitempty" doc:"One who is may do everything. Others may do what their roles, and those of their groups, allow: nothing at first."`
	}
}) (*one[User], error) {
	u, err := a.Users.CreateUser(ctx, in.Body.Name, in.Body.Password, in.Body.Administrator)
	if err != nil {
		return nil, err
	}
	shown := showUser(u)
	return &one[User]{shown}, a.audit(ctx, "user.create", "user "+u.Name, shown)
}

func (a *API) changeUser(ctx context.Context, in *struct {
	UserPath
	IfMatch
	Body struct {
		Password string `json:"password" format:"password"`
	}
}) (*one[User], error) {
	if p := principal(ctx); !p.Administrator && p.UserID != in.ID {
		return nil, huma.Error403Forbidden("only administrators may set another's password")
	}
	if err := principal(ctx).CheckLasting(time.Time{}); err != nil {
		return nil, err
	}
	tag, err := in.tag()
	if err != nil {
		return nil, err
	}
	if err := a.Users.SetPassword(ctx, in.ID, in.Body.Password, tag); err != nil {
		return nil, err
	}
	u, err := a.Users.User(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[User]{showUser(u)}, a.audit(ctx, "user.password", "user "+u.Name, struct{}{})
}

func (a *API) deleteUser(ctx context.Context, in *UserPath) (*struct{}, error) {
	u, err := a.Users.User(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.Users.DeleteUser(ctx, in.ID); err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "user.delete", "user "+u.Name, struct{}{})
}
