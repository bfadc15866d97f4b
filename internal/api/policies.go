package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/policy"
)

// PolicyService changes and previews policies, and grants exceptions;
// *policy.Service is one.
type PolicyService interface {
	Policy(ctx context.Context, registry string) (own policy.Stored, global policy.Settings, err error)
	Change(ctx context.Context, registry string, version int64, edit func(policy.Settings) policy.Settings) (policy.Stored, error)
	Check(ctx context.Context, settings policy.Settings) error
	Preview(ctx context.Context, registry string, edit func(policy.Settings) policy.Settings, patience time.Duration) ([]policy.Preview, error)
	Except(ctx context.Context, e policy.Exception) (policy.Exception, error)
	EndException(ctx context.Context, id int64, by string) (policy.Exception, error)
	Exception(ctx context.Context, id int64) (policy.Exception, error)
	Exceptions(ctx context.Context, f policy.ExceptionFilter, live bool) ([]policy.Exception, error)
}

// Policy is what holds in a registry.
type Policy struct {
	Block               []string `json:"block" nullable:"false" doc:"The assessment types that block pulls."`
	Warn                []string `json:"warn" nullable:"false" doc:"The assessment types that warn."`
	BlockUnassessedFrom *string  `json:"block_unassessed_from" enum:"critical,high,medium,low,negligible,unknown" doc:"The lowest severity at which an unassessed finding blocks; null for never."`
	WarnUnassessedFrom  *string  `json:"warn_unassessed_from" enum:"critical,high,medium,low,negligible,unknown" doc:"The lowest severity at which an unassessed finding warns; null for never."`
	GraceHours          int      `json:"grace_hours" doc:"How long after it was first seen an unassessed finding neither blocks nor warns yet; what will block warns meanwhile."`
	RequireAnalysis     bool     `json:"require_analysis" doc:"Whether an image is refused until its analysis is done and all attached vulnerability sources have answered."`
	RequireCoverage     string   `json:"require_coverage" enum:"none,partial,known" doc:"How much has to be known of an image: with known, neither partial nor unknown coverage is enough."`
	MaxFeedAgeHours     int      `json:"max_feed_age_hours" doc:"How long ago the data of the feeds that judge an image may have been confirmed; 0 for any time."`
	Refusal             string   `json:"refusal" enum:"denied,unknown" doc:"How a refused pull is answered: denied is 403 DENIED, unknown 404 MANIFEST_UNKNOWN as ProGet does."`
	AllowDigestPulls    string   `json:"allow_digest_pulls" enum:"never,recent,always" doc:"Whether blocked images can be pulled by digest, as nodes do that run them: recent is for digest_pull_hours after an image that could be pulled became blocked."`
	DigestPullHours     int      `json:"digest_pull_hours"`
}

// PolicySettings are what a registry, or the global policy, says itself.
type PolicySettings struct {
	Block               *[]string `json:"block" doc:"Null in all members: inherited."`
	Warn                *[]string `json:"warn"`
	BlockUnassessedFrom *string   `json:"block_unassessed_from" enum:"never,critical,high,medium,low,negligible,unknown"`
	WarnUnassessedFrom  *string   `json:"warn_unassessed_from" enum:"never,critical,high,medium,low,negligible,unknown"`
	GraceHours          *int      `json:"grace_hours"`
	RequireAnalysis     *bool     `json:"require_analysis"`
	RequireCoverage     *string   `json:"require_coverage" enum:"none,partial,known"`
	MaxFeedAgeHours     *int      `json:"max_feed_age_hours"`
	Refusal             *string   `json:"refusal" enum:"denied,unknown"`
	AllowDigestPulls    *string   `json:"allow_digest_pulls" enum:"never,recent,always"`
	DigestPullHours     *int      `json:"digest_pull_hours"`
}

// PolicyDocument is a policy with whose word counts in it.
type PolicyDocument struct {
	Registry  string            `json:"registry" doc:"Empty for the global policy."`
	Settings  PolicySettings    `json:"settings" doc:"What it says itself; null is inherited: by a registry from the global policy, by that from defaults."`
	Effective Policy            `json:"effective" doc:"What holds."`
	From      map[string]string `json:"from" doc:"For each setting whose word counts: registry, global or default."`
	Version   int64             `json:"version" doc:"Grows with each change; the ETag is the same, for If-Match."`
}

// PolicyChange is what to change of a policy; what is absent stays, null
// inherits.
type PolicyChange struct {
	Block               Optional[[]string] `json:"block,omitempty" maxItems:"100" doc:"The assessment types that block pulls. Null everywhere: those whose effect is to block."`
	Warn                Optional[[]string] `json:"warn,omitempty" maxItems:"100" doc:"The assessment types that warn. Null everywhere: those whose effect is to warn."`
	BlockUnassessedFrom Optional[string]   `json:"block_unassessed_from,omitempty" enum:"never,critical,high,medium,low,negligible,unknown"`
	WarnUnassessedFrom  Optional[string]   `json:"warn_unassessed_from,omitempty" enum:"never,critical,high,medium,low,negligible,unknown"`
	GraceHours          Optional[int]      `json:"grace_hours,omitempty" minimum:"0" maximum:"87600"`
	RequireAnalysis     Optional[bool]     `json:"require_analysis,omitempty"`
	RequireCoverage     Optional[string]   `json:"require_coverage,omitempty" enum:"none,partial,known"`
	MaxFeedAgeHours     Optional[int]      `json:"max_feed_age_hours,omitempty" minimum:"0" maximum:"87600"`
	Refusal             Optional[string]   `json:"refusal,omitempty" enum:"denied,unknown"`
	AllowDigestPulls    Optional[string]   `json:"allow_digest_pulls,omitempty" enum:"never,recent,always"`
	DigestPullHours     Optional[int]      `json:"digest_pull_hours,omitempty" minimum:"1" maximum:"87600"`
}

// on returns the settings with the change made.
func (c PolicyChange) on(s policy.Settings) policy.Settings {
	change(c.Block, &s.Block, func(list []string) []string { return orEmpty(list) })
	change(c.Warn, &s.Warn, func(list []string) []string { return orEmpty(list) })
	change(c.BlockUnassessedFrom, &s.BlockUnassessedFrom, as[policy.Threshold])
	change(c.WarnUnassessedFrom, &s.WarnUnassessedFrom, as[policy.Threshold])
	change(c.GraceHours, &s.GraceHours, same)
	change(c.RequireAnalysis, &s.RequireAnalysis, same)
	change(c.RequireCoverage, &s.RequireCoverage, as[policy.Coverage])
	change(c.MaxFeedAgeHours, &s.MaxFeedAgeHours, same)
	change(c.Refusal, &s.Refusal, as[policy.Refusal])
	change(c.AllowDigestPulls, &s.AllowDigestPulls, as[policy.DigestPulls])
	change(c.DigestPullHours, &s.DigestPullHours, same)
	return s
}

// change sets what was sent; null inherits.
func change[T, U any](sent Optional[T], to **U, convert func(T) U) {
	switch {
	case sent.Null:
		*to = nil
	case sent.Sent:
		v := convert(sent.Value)
		*to = &v
	}
}

func as[T ~string](s string) T { return T(s) }
func same[T any](v T) T        { return v }

func (a *API) policies() {
	const tag = "policies"
	register(a, operation{id: "get-policy", access: access{place: signedIn}, method: http.MethodGet, path: "/policy", tag: tag,
		summary: "Show the global policy", doc: "Registries inherit from it what they do not say themselves."}, a.globalPolicy)
	register(a, operation{id: "change-policy", method: http.MethodPatch, path: "/policy", tag: tag,
		summary: "Change the global policy", doc: "What is absent stays; null is the default.", administrators: true}, a.changeGlobalPolicy)
	register(a, operation{id: "get-registry-policy", method: http.MethodGet, path: "/registries/{registry}/policy", tag: tag,
		summary: "Show a registry's policy", doc: "What it says itself, and what holds with what it inherits."}, a.registryPolicy)
	register(a, operation{id: "change-registry-policy", method: http.MethodPatch, path: "/registries/{registry}/policy", tag: tag,
		summary: "Change a registry's policy", doc: "What is absent stays; null inherits."}, a.changeRegistryPolicy)
	register(a, operation{id: "preview-policy", access: access{place: signedIn}, method: http.MethodPost, path: "/policy/preview", tag: tag,
		summary: "Show what a change of policy would do",
		doc:     "How many images would become blocked or pullable, by registry. Nothing changes. Exceptions of single users are not considered."}, a.previewPolicy)
	register(a, operation{id: "get-verdict", access: access{place: signedIn}, method: http.MethodGet, path: "/policy/verdict", tag: tag,
		summary: "Show whether an image may be pulled", doc: "By its reference, as a pull of it now would be answered. `pratique gate` asks this."}, a.verdict)
}

func (a *API) globalPolicy(ctx context.Context, _ *struct{}) (*tagged[PolicyDocument], error) {
	return a.showPolicy(ctx, "")
}

func (a *API) registryPolicy(ctx context.Context, in *RegistryPath) (*tagged[PolicyDocument], error) {
	return a.showPolicy(ctx, in.Registry)
}

func (a *API) changeGlobalPolicy(ctx context.Context, in *struct {
	IfMatch
	Body PolicyChange
}) (*tagged[PolicyDocument], error) {
	return a.changePolicy(ctx, "", in.IfMatch, in.Body)
}

func (a *API) changeRegistryPolicy(ctx context.Context, in *struct {
	RegistryPath
	IfMatch
	Body PolicyChange
}) (*tagged[PolicyDocument], error) {
	return a.changePolicy(ctx, in.Registry, in.IfMatch, in.Body)
}

func (a *API) changePolicy(ctx context.Context, registry string, match IfMatch, c PolicyChange) (*tagged[PolicyDocument], error) {
	version, err := match.version()
	if err != nil {
		return nil, err
	}
	if _, err := a.Policies.Change(ctx, registry, version, c.on); err != nil {
		return nil, err
	}
	shown, err := a.showPolicy(ctx, registry)
	if err != nil {
		return nil, err
	}
	object := "global policy"
	if registry != "" {
		object = "policy of registry " + registry
	}
	return shown, a.audit(ctx, "policy.change", object, shown.Body)
}

func (a *API) showPolicy(ctx context.Context, registry string) (*tagged[PolicyDocument], error) {
	own, global, err := a.Policies.Policy(ctx, registry)
	if err != nil {
		return nil, err
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	effective := policy.Resolve(global, policy.Settings{})
	if registry != "" {
		effective = policy.Resolve(global, own.Settings)
	}
	doc := PolicyDocument{Registry: registry, Settings: showSettings(own.Settings), Effective: showEffective(effective.Policy, types),
		From: make(map[string]string, len(effective.From)), Version: own.Version}
	for field, origin := range effective.From {
		doc.From[string(field)] = string(origin)
	}
	return withTag(doc, own.Version), nil
}

func showSettings(s policy.Settings) PolicySettings {
	return PolicySettings{
		Block: s.Block, Warn: s.Warn, BlockUnassessedFrom: text(s.BlockUnassessedFrom), WarnUnassessedFrom: text(s.WarnUnassessedFrom),
		GraceHours: s.GraceHours, RequireAnalysis: s.RequireAnalysis, RequireCoverage: text(s.RequireCoverage), MaxFeedAgeHours: s.MaxFeedAgeHours,
		Refusal: text(s.Refusal), AllowDigestPulls: text(s.AllowDigestPulls), DigestPullHours: s.DigestPullHours,
	}
}

func text[T ~string](v *T) *string {
	if v == nil {
		return nil
	}
	s := string(*v)
	return &s
}

func showEffective(p policy.Policy, types []assess.Type) Policy {
	shown := Policy{
		Block: p.Blocking(types), Warn: p.Warning(types), GraceHours: p.GraceHours, RequireAnalysis: p.RequireAnalysis,
		RequireCoverage: string(p.RequireCoverage), MaxFeedAgeHours: p.MaxFeedAgeHours, Refusal: string(p.Refusal),
		AllowDigestPulls: string(p.AllowDigestPulls), DigestPullHours: p.DigestPullHours,
	}
	if p.BlockUnassessedFrom != nil {
		name := p.BlockUnassessedFrom.String()
		shown.BlockUnassessedFrom = &name
	}
	if p.WarnUnassessedFrom != nil {
		name := p.WarnUnassessedFrom.String()
		shown.WarnUnassessedFrom = &name
	}
	return shown
}
