package api

import (
	"context"
	"net/http"

	"github.com/pratique/pratique/internal/auth/oidc"
)

// SignIn knows the provider at which people may sign in; *oidc.Service is one.
type SignIn interface {
	Provider(ctx context.Context) (oidc.Provider, error)
	// Change returns an *oidc.FieldError.
	Change(ctx context.Context, c oidc.Change) (oidc.Provider, error)
}

// SignInProvider is a provider of OpenID Connect.
type SignInProvider struct {
	Enabled     bool   `json:"enabled" doc:"Whether the page of sign-ins offers it. Signing in with a password works all the same."`
	Title       string `json:"title" doc:"What the button says."`
	Issuer      string `json:"issuer" example:"https://login.example.com/realms/main"`
	ClientID    string `json:"client_id"`
	HasSecret   bool   `json:"has_client_secret" doc:"Whether there is a secret, which is never shown."`
	Scopes      string `json:"scopes" doc:"What is asked for beside openid, separated by blanks."`
	NameClaim   string `json:"name_claim" doc:"The claim that has the name of the user."`
	GroupsClaim string `json:"groups_claim" doc:"The claim that has their groups; empty for none. Groups here that have one of them as their claim get the user as a member."`
	Callback    string `json:"callback_path" doc:"Where the provider has to send browsers back to, below the base URL."`
}

func showProvider(p oidc.Provider) SignInProvider {
	return SignInProvider{Enabled: p.Enabled, Title: p.Title, Issuer: p.Issuer, ClientID: p.ClientID, HasSecret: len(p.Sealed) > 0,
		Scopes: p.Scopes, NameClaim: p.NameClaim, GroupsClaim: p.GroupsClaim, Callback: oidc.CallbackPath}
}

func (a *API) signInProvider() {
	const tag = "session"
	register(a, operation{id: "get-sign-in-provider", method: http.MethodGet, path: "/sign-in-provider", tag: tag,
		summary: "Show the provider at which people may sign in", administrators: true}, a.showSignInProvider)
	register(a, operation{id: "change-sign-in-provider", method: http.MethodPatch, path: "/sign-in-provider", tag: tag,
		summary: "Change the provider at which people may sign in", doc: "What is absent stays; of another issuer, the secret is to be given again.", administrators: true}, a.changeSignInProvider)
}

func (a *API) showSignInProvider(ctx context.Context, _ *struct{}) (*one[SignInProvider], error) {
	p, err := a.SignIn.Provider(ctx)
	if err != nil {
		return nil, err
	}
	return &one[SignInProvider]{showProvider(p)}, nil
}

func (a *API) changeSignInProvider(ctx context.Context, in *struct {
	Body struct {
		Enabled      *bool   `json:"enabled,omitempty"`
		Title        *string `json:"title,omitempty" maxLength:"200"`
		Issuer       *string `json:"issuer,omitempty" maxLength:"1000"`
		ClientID     *string `json:"client_id,omitempty" maxLength:"200"`
		ClientSecret *string `json:"client_secret,omitempty" maxLength:"1000" format:"password"`
		Scopes       *string `json:"scopes,omitempty" maxLength:"200"`
		NameClaim    *string `json:"name_claim,omitempty" maxLength:"200"`
		GroupsClaim  *string `json:"groups_claim,omitempty" maxLength:"200"`
	}
}) (*one[SignInProvider], error) {
	p, err := a.SignIn.Change(ctx, oidc.Change(in.Body))
	if err != nil {
		return nil, err
	}
	shown := showProvider(p)
	return &one[SignInProvider]{shown}, a.audit(ctx, "sign-in-provider.change", "provider of sign-ins", shown)
}
