package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/retention"
)

// Retention keeps registries to their rules; *retention.Service is one.
type Retention interface {
	Rules(ctx context.Context, name string) (retention.Rules, error)
	Change(ctx context.Context, name, tag string, rules retention.Rules) error
	Preview(ctx context.Context, name string, rules *retention.Rules) (retention.Preview, error)
	Confirm(ctx context.Context, name, identity string) error
}

// RetentionRules say which tags and manifests of a registry may go.
type RetentionRules struct {
	Enabled      bool     `json:"enabled" doc:"Whether the job apply-retention does what the rules say."`
	Repositories []string `json:"repositories,omitempty" nullable:"false" maxItems:"50" doc:"Patterns of the repositories that they are about, without the registry's name; * stands for any text. None: all."`
	Tags         []string `json:"tags,omitempty" nullable:"false" maxItems:"50" doc:"Patterns of the tags that may go. None: all."`
	Except       []string `json:"except,omitempty" nullable:"false" maxItems:"50" doc:"Patterns of the tags that stay."`
	KeepLast     int      `json:"keep_last,omitempty" minimum:"0" maximum:"100000" doc:"How many of these tags stay in a repository: those that were set last."`
	KeepDays     int      `json:"keep_days,omitempty" minimum:"0" maximum:"100000" doc:"For how many days each stays after it was set. A tag goes where none of this, keep_last and unpulled_days keeps it; where all are 0, none goes."`
	UnpulledDays int      `json:"unpulled_days,omitempty" minimum:"0" maximum:"100000" doc:"For how many days each stays after it, or what it names, was last pulled; one that never was counts from when it was set."`
	UntaggedDays int      `json:"untagged_days,omitempty" minimum:"0" maximum:"100000" doc:"For how many days manifests stay that have no tag and belong to nothing that has one; 0: for ever. unpulled_days keeps them, too."`
}

// RetentionDocument is the rules of a registry as they are.
type RetentionDocument struct {
	RetentionRules
	ETag string `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

// RetentionPreview is what rules come to.
type RetentionPreview struct {
	Deletions    []RetentionDeletion `json:"deletions" nullable:"false" doc:"What goes: the first thousand."`
	GoneTags     int                 `json:"gone_tags"`
	GoneManifest int                 `json:"gone_manifests"`
	Tags         int                 `json:"tags" doc:"How many there are."`
	Manifests    int                 `json:"manifests"`
	Held         bool                `json:"held" doc:"More than half of the manifests would go, or every tag: it is done only once it is confirmed."`
	Confirmed    bool                `json:"confirmed"`
	Plan         string              `json:"plan" doc:"The identity of the plan, to confirm it."`
}

// RetentionDeletion is a tag or a manifest that goes.
type RetentionDeletion struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Tag        string `json:"tag,omitempty" doc:"The tag that goes; without, the manifest itself does."`
	Reason     string `json:"reason"`
}

func (a *API) retention() {
	const tag, path = "registries", "/registries/{registry}/retention"
	register(a, operation{id: "get-retention", method: http.MethodGet, path: path, tag: tag, summary: "Show a registry's retention rules"}, a.retentionRules)
	register(a, operation{id: "change-retention", method: http.MethodPut, path: path, tag: tag,
		summary: "Change a registry's retention rules", doc: "What was confirmed is so no longer."}, a.changeRetention)
	register(a, operation{id: "preview-retention", access: access{inRegistry, auth.Read}, method: http.MethodPost, path: path + "/preview", tag: tag,
		summary: "Say what retention rules come to", doc: "Those of the registry, or those that are given. Nothing changes; it is what the job would delete now."}, a.previewRetention)
	register(a, operation{id: "confirm-retention", method: http.MethodPost, path: path + "/confirm", tag: tag, status: http.StatusNoContent,
		summary: "Confirm what retention rules come to", doc: "Needed where a plan is held. Another plan needs a word of its own."}, a.confirmRetention)
}

func (r RetentionRules) rules() retention.Rules {
	return retention.Rules{Enabled: r.Enabled, Repositories: r.Repositories, Tags: r.Tags, Except: r.Except, KeepLast: r.KeepLast, KeepDays: r.KeepDays, UnpulledDays: r.UnpulledDays, UntaggedDays: r.UntaggedDays}
}

func (a *API) retentionDocument(ctx context.Context, name string) (*tagged[RetentionDocument], error) {
	r, err := a.Retention.Rules(ctx, name)
	if err != nil {
		return nil, err
	}
	tag := quoted(r.Tag())
	return &tagged[RetentionDocument]{tag, RetentionDocument{RetentionRules{r.Enabled, r.Repositories, r.Tags, r.Except, r.KeepLast, r.KeepDays, r.UnpulledDays, r.UntaggedDays}, tag}}, nil
}

func (a *API) retentionRules(ctx context.Context, in *RegistryPath) (*tagged[RetentionDocument], error) {
	return a.retentionDocument(ctx, in.Registry)
}

func (a *API) changeRetention(ctx context.Context, in *struct {
	RegistryPath
	IfMatch
	Body RetentionRules
}) (*tagged[RetentionDocument], error) {
	tag, err := in.tag()
	if err != nil {
		return nil, err
	}
	if err := a.Retention.Change(ctx, in.Registry, tag, in.Body.rules()); err != nil {
		return nil, ruleOf(err)
	}
	shown, err := a.retentionDocument(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return shown, a.audit(ctx, "retention.change", "registry "+in.Registry, shown.Body)
}

// ruleOf names the field of rules that cannot be.
func ruleOf(err error) error {
	var field *retention.FieldError
	if errors.As(err, &field) {
		return invalid("body."+field.Field, field.Reason)
	}
	return err
}

func (a *API) previewRetention(ctx context.Context, in *struct {
	RegistryPath
	Body *RetentionRules
}) (*one[RetentionPreview], error) {
	var rules *retention.Rules
	if in.Body != nil {
		given := in.Body.rules()
		rules = &given
	}
	p, err := a.Retention.Preview(ctx, in.Registry, rules)
	if err != nil {
		return nil, ruleOf(err)
	}
	const shown = 1000
	out := RetentionPreview{Deletions: []RetentionDeletion{}, Tags: p.Tags, Manifests: p.Manifests, Held: p.Held, Confirmed: p.Confirmed, Plan: p.Identity}
	for i, d := range p.Plan {
		if d.Tag == "" {
			out.GoneManifest++
		} else {
			out.GoneTags++
		}
		if i < shown {
			out.Deletions = append(out.Deletions, RetentionDeletion(d))
		}
	}
	return &one[RetentionPreview]{out}, nil
}

func (a *API) confirmRetention(ctx context.Context, in *struct {
	RegistryPath
	Body struct {
		Plan string `json:"plan" minLength:"64" maxLength:"64" doc:"As the preview says."`
	}
}) (*struct{}, error) {
	err := a.Retention.Confirm(ctx, in.Registry, in.Body.Plan)
	if errors.Is(err, retention.ErrOther) {
		return nil, invalid("body.plan", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "retention.confirm", "registry "+in.Registry, in.Body)
}
