package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/policy"
)

// Clusters are those that ask for admission; *policy.Clusters is one.
type Clusters interface {
	Admission(ctx context.Context) (policy.Admission, int64, error)
	Change(ctx context.Context, version int64, edit func(*policy.Admission)) (policy.Admission, int64, error)
	CreateToken(ctx context.Context, name, by string) (policy.Token, string, error)
	Tokens(ctx context.Context) ([]policy.Token, error)
	RevokeToken(ctx context.Context, id int64) (policy.Token, error)
}

// Admission is how Kubernetes clusters are answered that ask whether they may
// run images.
type Admission struct {
	UnknownImages string   `json:"unknown_images" enum:"allow,warn,deny" doc:"What becomes of images that this server does not hold."`
	Hosts         []string `json:"hosts" nullable:"false" doc:"Names of this server besides that of its base URL, HOST or HOST:PORT, as images are named by them in clusters."`
	Version       int64    `json:"version" doc:"Grows with each change; the ETag is the same, for If-Match."`
}

// AdmissionToken lets a cluster ask for admission, and for nothing else.
type AdmissionToken struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name" doc:"The cluster's." example:"production"`
	Prefix     string     `json:"prefix" doc:"How the token begins."`
	Token      string     `json:"token,omitempty" doc:"The token itself: shown once, when it is made."`
	Path       string     `json:"path,omitempty" doc:"The path of the webhook with the token in it: shown once."`
	CreatedBy  string     `json:"created_by"`
	CreatedAt  time.Time  `json:"created_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

func showToken(t policy.Token) AdmissionToken {
	return AdmissionToken{ID: t.ID, Name: t.Name, Prefix: t.Prefix, CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt.UTC(), LastUsedAt: orNil(t.LastUsedAt)}
}

func (a *API) admission() {
	const tag = "admission"
	register(a, operation{id: "get-admission", access: access{place: signedIn}, method: http.MethodGet, path: "/admission", tag: tag,
		summary: "Show how clusters are answered that ask for admission"}, a.getAdmission)
	register(a, operation{id: "change-admission", method: http.MethodPatch, path: "/admission", tag: tag,
		summary: "Change how clusters are answered", doc: "What is absent stays.", administrators: true}, a.changeAdmission)
	register(a, operation{id: "list-admission-tokens", method: http.MethodGet, path: "/admission-tokens", tag: tag,
		summary: "List the tokens of clusters", doc: "By name; always one page.", administrators: true}, a.listTokens)
	register(a, operation{id: "create-admission-token", method: http.MethodPost, path: "/admission-tokens", tag: tag, status: http.StatusCreated,
		summary: "Make a token for a cluster", doc: "It lets its holder ask for admission, and for nothing else.", administrators: true}, a.createToken)
	register(a, operation{id: "revoke-admission-token", method: http.MethodDelete, path: "/admission-tokens/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Revoke the token of a cluster", administrators: true}, a.revokeToken)
}

func showAdmission(v policy.Admission, version int64) *tagged[Admission] {
	return withTag(Admission{UnknownImages: string(v.UnknownImages), Hosts: orEmpty(v.Hosts), Version: version}, version)
}

func (a *API) getAdmission(ctx context.Context, _ *struct{}) (*tagged[Admission], error) {
	v, version, err := a.Clusters.Admission(ctx)
	if err != nil {
		return nil, err
	}
	return showAdmission(v, version), nil
}

func (a *API) changeAdmission(ctx context.Context, in *struct {
	IfMatch
	Body struct {
		UnknownImages *string   `json:"unknown_images,omitempty" enum:"allow,warn,deny"`
		Hosts         *[]string `json:"hosts,omitempty" maxItems:"100"`
	}
}) (*tagged[Admission], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	v, version, err := a.Clusters.Change(ctx, version, func(v *policy.Admission) {
		if in.Body.UnknownImages != nil {
			v.UnknownImages = policy.Answer(*in.Body.UnknownImages)
		}
		if in.Body.Hosts != nil {
			v.Hosts = *in.Body.Hosts
		}
	})
	if err != nil {
		return nil, err
	}
	shown := showAdmission(v, version)
	return shown, a.audit(ctx, "admission.change", "admission", shown.Body)
}

func (a *API) listTokens(ctx context.Context, _ *struct{}) (*listed[AdmissionToken], error) {
	tokens, err := a.Clusters.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[AdmissionToken]{List[AdmissionToken]{Items: make([]AdmissionToken, len(tokens))}}
	for i, t := range tokens {
		out.Body.Items[i] = showToken(t)
	}
	return out, nil
}

func (a *API) createToken(ctx context.Context, in *struct {
	Body struct {
		Name string `json:"name" maxLength:"64" doc:"Letters, digits and . _ -"`
	}
}) (*one[AdmissionToken], error) {
	t, secret, err := a.Clusters.CreateToken(ctx, in.Body.Name, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	shown := showToken(t)
	if err := a.audit(ctx, "admission-token.create", "admission token "+t.Name, shown); err != nil {
		return nil, err
	}
	shown.Token, shown.Path = secret, "/admission/v1/review/"+secret
	return &one[AdmissionToken]{shown}, nil
}

func (a *API) revokeToken(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*struct{}, error) {
	t, err := a.Clusters.RevokeToken(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "admission-token.revoke", "admission token "+t.Name, struct{}{})
}
