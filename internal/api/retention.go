package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/retention"
)

// RetentionService says what registries keep.
type RetentionService interface {
	Settings(ctx context.Context, registryName string) (retention.Settings, error)
	Change(ctx context.Context, registryName string, trashDays *int, rules retention.Rules, revision int64, by string) (retention.Settings, error)
	Preview(ctx context.Context, registryName string, rules *retention.Rules) (retention.Plan, error)
	Confirm(ctx context.Context, registryName, digest, by string) (retention.Settings, error)
}

// RetentionRule is about some tags of some repositories.
type RetentionRule struct {
	Repositories []string `json:"repositories,omitempty" nullable:"false" maxItems:"50" doc:"Patterns; none is all." example:"[\"team/*\"]"`
	Tags         []string `json:"tags,omitempty" nullable:"false" maxItems:"50" doc:"Patterns of the tags that the rule is about; none is all." example:"[\"ci-*\"]"`
	KeepLast     int      `json:"keep_last,omitempty" minimum:"0" maximum:"100000" doc:"How many of these tags are kept in each repository, the newest; 0 is none."`
	KeepDays     int      `json:"keep_days,omitempty" minimum:"0" maximum:"100000" doc:"For how many days after its push a tag is kept; 0 is none."`
}

// RetentionRules are what a registry keeps. Without rules everything is kept.
type RetentionRules struct {
	Rules        []RetentionRule `json:"rules,omitempty" nullable:"false" maxItems:"20" doc:"The first that is about a tag decides: it goes unless one of the conditions keeps it."`
	AlwaysKeep   []string        `json:"always_keep,omitempty" nullable:"false" maxItems:"50" doc:"Patterns of tags that are always kept." example:"[\"latest\"]"`
	UntaggedDays int             `json:"untagged_days,omitempty" minimum:"0" maximum:"100000" doc:"After how many days an image without a tag goes that belongs to no other; 0 is never."`
}

// Retention is what a registry keeps, and how the last run ended.
type Retention struct {
	RetentionRules
	TrashDays        *int       `json:"trash_days" doc:"For how many days what is deleted can be restored; 0 is not at all, null is as Registry.TrashDays of the advanced settings says."`
	TrashDaysDefault int        `json:"trash_days_default"`
	ETag             string     `json:"etag" doc:"Give it as If-Match to change what you saw."`
	ChangedAt        *time.Time `json:"changed_at"`
	ChangedBy        string     `json:"changed_by"`
	HeldSince        *time.Time `json:"held_since" doc:"Since when a list waits for somebody to confirm it; null where none does."`
	HeldList         string     `json:"held_list" doc:"Its digest."`
	ConfirmedList    string     `json:"confirmed_list" doc:"The digest of a list that was confirmed and has not gone yet."`
	RanAt            *time.Time `json:"ran_at"`
	Outcome          string     `json:"outcome" doc:"How the last run ended."`
}

// RetentionEntry is something that would go.
type RetentionEntry struct {
	Repository string   `json:"repository"`
	Digest     string   `json:"digest"`
	Tags       []string `json:"tags" nullable:"false"`
	ImageStays bool     `json:"image_stays" doc:"Only the tag would go."`
	SizeBytes  int64    `json:"size_bytes" doc:"Of the manifest and its blobs. Others may share them."`
	Reason     string   `json:"reason"`
}

// RetentionPreview is what would go, and from how much.
type RetentionPreview struct {
	List       string           `json:"list" doc:"The digest of the list: give it to confirm the very list."`
	Entries    []RetentionEntry `json:"entries" nullable:"false"`
	More       int              `json:"more" doc:"How many entries are left out, to keep the answer short."`
	Images     int              `json:"images"`
	GoneImages int              `json:"gone_images"`
	Tags       int              `json:"tags"`
	GoneTags   int              `json:"gone_tags"`
	Held       string           `json:"held" doc:"Why a run does nothing until somebody confirms the list; empty where it does what it is told."`
}

func (a *API) retention() {
	const tag = "retention"
	register(a, operation{id: "get-retention", method: http.MethodGet, path: "/registries/{registry}/retention", tag: tag,
		summary: "Say what a registry keeps"}, a.getRetention)
	register(a, operation{id: "set-retention", method: http.MethodPut, path: "/registries/{registry}/retention", tag: tag,
		summary: "Set what a registry keeps", doc: "Nothing goes before the next run. Look at the preview first.", administrators: true}, a.setRetention)
	register(a, operation{id: "preview-retention", method: http.MethodPost, path: "/registries/{registry}/retention/preview", tag: tag,
		summary: "List what rules would let go", doc: "By the rules of the body; without, by those of the registry. Nothing changes. What a run lets go is the same list.", administrators: true}, a.previewRetention)
	register(a, operation{id: "confirm-retention", method: http.MethodPost, path: "/registries/{registry}/retention/confirm", tag: tag, status: http.StatusAccepted,
		summary: "Let a list go that is held", doc: "A list that is over half of the registry's images or tags waits for this. The very list goes that was confirmed, or nothing.", administrators: true}, a.confirmRetention)
}

func (r RetentionRules) rules() retention.Rules {
	rules := retention.Rules{Always: r.AlwaysKeep, UntaggedDays: r.UntaggedDays}
	for _, rule := range r.Rules {
		rules.Rules = append(rules.Rules, retention.Rule{Repositories: rule.Repositories, Tags: rule.Tags, Last: rule.KeepLast, Days: rule.KeepDays})
	}
	return rules
}

func (a *API) showRetention(ctx context.Context, s retention.Settings) *tagged[Retention] {
	shown := Retention{
		RetentionRules: RetentionRules{Rules: []RetentionRule{}, AlwaysKeep: orEmpty(s.Rules.Always), UntaggedDays: s.Rules.UntaggedDays},
		TrashDays:      s.TrashDays, TrashDaysDefault: a.Trash.TrashDays(ctx), ETag: etag(s.Revision), ChangedAt: orNil(s.ChangedAt), ChangedBy: s.ChangedBy,
		HeldSince: orNil(s.HeldAt), HeldList: s.Held, ConfirmedList: s.Confirmed, RanAt: orNil(s.RanAt), Outcome: s.Outcome,
	}
	for _, r := range s.Rules.Rules {
		shown.Rules = append(shown.Rules, RetentionRule{Repositories: orEmpty(r.Repositories), Tags: orEmpty(r.Tags), KeepLast: r.Last, KeepDays: r.Days})
	}
	return withTag(shown, s.Revision)
}

func (a *API) getRetention(ctx context.Context, in *RegistryPath) (*tagged[Retention], error) {
	s, err := a.Retention.Settings(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return a.showRetention(ctx, s), nil
}

func (a *API) setRetention(ctx context.Context, in *struct {
	RegistryPath
	IfMatch
	Body struct {
		RetentionRules
		TrashDays *int `json:"trash_days,omitempty" minimum:"0" maximum:"3650" doc:"Absent: as the advanced settings say."`
	}
}) (*tagged[Retention], error) {
	revision, err := in.version()
	if err != nil {
		return nil, err
	}
	s, err := a.Retention.Change(ctx, in.Registry, in.Body.TrashDays, in.Body.rules(), revision, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	shown := a.showRetention(ctx, s)
	return shown, a.audit(ctx, "retention.change", "registry "+in.Registry, in.Body)
}

func (a *API) previewRetention(ctx context.Context, in *struct {
	RegistryPath
	Body *RetentionRules `required:"false"`
}) (*one[RetentionPreview], error) {
	var rules *retention.Rules
	if in.Body != nil {
		r := in.Body.rules()
		rules = &r
	}
	p, err := a.Retention.Preview(ctx, in.Registry, rules)
	if err != nil {
		return nil, err
	}
	const most = 2000
	shown := RetentionPreview{List: p.Digest(), Entries: []RetentionEntry{}, Images: p.Images, GoneImages: p.GoneImages, Tags: p.Tags, GoneTags: p.GoneTags, Held: p.Drastic()}
	for i, e := range p.Entries {
		if i == most {
			shown.More = len(p.Entries) - most
			break
		}
		entry := RetentionEntry{Repository: e.Repository, Digest: e.Digest, Tags: orEmpty(e.Tags), SizeBytes: e.Size, Reason: e.Reason}
		if e.Tag != "" {
			entry.Tags, entry.ImageStays = []string{e.Tag}, true
		}
		shown.Entries = append(shown.Entries, entry)
	}
	return &one[RetentionPreview]{shown}, nil
}

func (a *API) confirmRetention(ctx context.Context, in *struct {
	RegistryPath
	Body struct {
		List string `json:"list" minLength:"1" maxLength:"100" doc:"As the preview has it."`
	}
}) (*tagged[Retention], error) {
	s, err := a.Retention.Confirm(ctx, in.Registry, in.Body.List, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	return a.showRetention(ctx, s), a.audit(ctx, "retention.confirm", "registry "+in.Registry, in.Body)
}
