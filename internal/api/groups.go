package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// Group is users who have roles together.
type Group struct {
	ID          int64     `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Claim       string    `json:"claim" doc:"What the provider of sign-ins calls the group: who has it there is a member from their next sign-in on. Empty: nobody is put in it by the provider."`
	Members     []Member  `json:"members" nullable:"false"`
	CreatedAt   time.Time `json:"created_at"`
}

// Member is a user in a group.
type Member struct {
	UserID  int64  `json:"user_id"`
	Name    string `json:"name"`
	Claimed bool   `json:"claimed" doc:"Whether the provider of sign-ins put them there, and takes them out."`
}

func showGroup(g auth.Group) Group {
	shown := Group{ID: g.ID, Name: g.Name, Description: g.Description, Claim: g.Claim, Members: make([]Member, len(g.Members)), CreatedAt: g.CreatedAt.UTC()}
	for i, m := range g.Members {
		shown.Members[i] = Member(m)
	}
	return shown
}

type GroupPath struct {
	ID int64 `path:"id" minimum:"1"`
}

type MemberPath struct {
	GroupPath
	User int64 `path:"user" minimum:"1" doc:"The id of a user."`
}

func (a *API) groups() {
	const tag = "groups"
	register(a, operation{id: "list-groups", method: http.MethodGet, path: "/groups", tag: tag,
		summary: "List groups", doc: "By name; always one page.", administrators: true}, a.listGroups)
	register(a, operation{id: "create-group", method: http.MethodPost, path: "/groups", tag: tag, status: http.StatusCreated,
		summary: "Add a group", administrators: true}, a.createGroup)
	register(a, operation{id: "get-group", method: http.MethodGet, path: "/groups/{id}", tag: tag,
		summary: "Show a group", administrators: true}, a.group)
	register(a, operation{id: "change-group", method: http.MethodPatch, path: "/groups/{id}", tag: tag,
		summary: "Change a group", doc: "What is absent stays.", administrators: true}, a.changeGroup)
	register(a, operation{id: "delete-group", method: http.MethodDelete, path: "/groups/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Delete a group with its roles", administrators: true}, a.deleteGroup)
	register(a, operation{id: "add-member", method: http.MethodPut, path: "/groups/{id}/members/{user}", tag: tag,
		summary: "Put a user into a group", administrators: true}, a.addMember)
	register(a, operation{id: "remove-member", method: http.MethodDelete, path: "/groups/{id}/members/{user}", tag: tag, status: http.StatusNoContent,
		summary: "Take a user out of a group", administrators: true}, a.removeMember)
}

func (a *API) listGroups(ctx context.Context, _ *struct{}) (*listed[Group], error) {
	groups, err := a.Users.Groups(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[Group]{List[Group]{Items: make([]Group, len(groups))}}
	for i, g := range groups {
		out.Body.Items[i] = showGroup(g)
	}
	return out, nil
}

func (a *API) createGroup(ctx context.Context, in *struct {
	Body struct {
		Name        string `json:"name" maxLength:"100"`
		Description string `json:"description,omitempty" maxLength:"1000"`
		Claim       string `json:"claim,omitempty" maxLength:"100"`
	}
}) (*one[Group], error) {
	g, err := a.Users.CreateGroup(ctx, auth.Group{Name: in.Body.Name, Description: in.Body.Description, Claim: in.Body.Claim})
	if err != nil {
		return nil, err
	}
	return a.changedGroup(ctx, "group.create", g)
}

func (a *API) changedGroup(ctx context.Context, action string, g auth.Group) (*one[Group], error) {
	shown := showGroup(g)
	return &one[Group]{shown}, a.audit(ctx, action, "group "+g.Name, shown)
}

func (a *API) group(ctx context.Context, in *GroupPath) (*one[Group], error) {
	g, err := a.Users.Group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[Group]{showGroup(g)}, nil
}

func (a *API) changeGroup(ctx context.Context, in *struct {
	GroupPath
	Body struct {
		Name        *string `json:"name,omitempty" maxLength:"100"`
		Description *string `json:"description,omitempty" maxLength:"1000"`
		Claim       *string `json:"claim,omitempty" maxLength:"100"`
	}
}) (*one[Group], error) {
	g, err := a.Users.ChangeGroup(ctx, in.ID, auth.GroupChange{Name: in.Body.Name, Description: in.Body.Description, Claim: in.Body.Claim})
	if err != nil {
		return nil, err
	}
	return a.changedGroup(ctx, "group.change", g)
}

func (a *API) deleteGroup(ctx context.Context, in *GroupPath) (*struct{}, error) {
	g, err := a.Users.Group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := a.Users.DeleteGroup(ctx, in.ID); err != nil {
		return nil, err
	}
	_, err = a.changedGroup(ctx, "group.delete", g)
	return nil, err
}

func (a *API) addMember(ctx context.Context, in *MemberPath) (*one[Group], error) {
	if err := a.Users.AddMember(ctx, in.ID, in.User); err != nil {
		return nil, err
	}
	g, err := a.Users.Group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.changedGroup(ctx, "group.add-member", g)
}

func (a *API) removeMember(ctx context.Context, in *MemberPath) (*struct{}, error) {
	if err := a.Users.RemoveMember(ctx, in.ID, in.User); err != nil {
		return nil, err
	}
	g, err := a.Users.Group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	_, err = a.changedGroup(ctx, "group.remove-member", g)
	return nil, err
}
