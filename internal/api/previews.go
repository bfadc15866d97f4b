package api

import (
	"context"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/policy"
)

// Patience is how long somebody waits for a preview.
type Patience struct {
	Wait int `query:"wait" minimum:"0" maximum:"30" doc:"How many seconds to look at images, where there are many. By default it is what can be seen in a tenth of a second; complete says whether that is all."`
}

func (p Patience) patience() time.Duration {
	return max(assess.Glance, time.Duration(p.Wait)*time.Second)
}

// PolicyPreview is what a change of policy would do in a registry.
type PolicyPreview struct {
	Registry    string         `json:"registry"`
	Images      int            `json:"images" doc:"How many were looked at; one in two repositories counts twice."`
	BlockedNow  int            `json:"blocked_now"`
	BlockedThen int            `json:"blocked_then"`
	Newly       int            `json:"newly_blocked"`
	Freed       int            `json:"newly_pullable"`
	Blocked     []PolicyEffect `json:"blocked" nullable:"false" doc:"The first 20 of those that would become blocked."`
	Pullable    []PolicyEffect `json:"pullable" nullable:"false" doc:"The first 20 of those that would become pullable."`
	Complete    bool           `json:"complete" doc:"False where the time did not suffice to look at all images."`
}

// PolicyEffect is an image whose verdict would change.
type PolicyEffect struct {
	Repository string   `json:"repository"`
	Digest     string   `json:"digest"`
	Reasons    []string `json:"reasons" nullable:"false" doc:"The first five: what would block it, or what blocks it now."`
}

// PolicyPreviews is the answer of a preview.
type PolicyPreviews struct {
	Registries []PolicyPreview `json:"registries" nullable:"false"`
	Newly      int             `json:"newly_blocked" doc:"The sum over all registries."`
	Freed      int             `json:"newly_pullable"`
	Complete   bool            `json:"complete"`
}

func (a *API) previewPolicy(ctx context.Context, in *struct {
	Patience
	Body struct {
		Registry string       `json:"registry,omitempty" maxLength:"64" doc:"Whose policy would change; empty for the global one."`
		Policy   PolicyChange `json:"policy" doc:"The change, as PATCH takes it."`
	}
}) (*one[PolicyPreviews], error) {
	p := principal(ctx)
	if name := in.Body.Registry; name != "" {
		if err := mayIn(p, auth.Read, name); err != nil {
			return nil, err
		}
	} else if !p.MayEverywhere(auth.Read) {
		return nil, forbiddenError{"only who may read all registries may ask what the global policy would do"}
	}
	found, err := a.Policies.Preview(ctx, in.Body.Registry, in.Body.Policy.on, in.patience())
	if err != nil {
		return nil, inMember("policy", err)
	}
	out := &one[PolicyPreviews]{PolicyPreviews{Registries: make([]PolicyPreview, len(found)), Complete: true}}
	for i, p := range found {
		out.Body.Registries[i] = PolicyPreview{Registry: p.Registry, Images: p.Images, BlockedNow: p.BlockedNow, BlockedThen: p.BlockedThen,
			Newly: p.NewlyBlocked, Freed: p.NewlyPullable, Blocked: showEffects(p.Blocked), Pullable: showEffects(p.Pullable), Complete: p.Complete}
		out.Body.Newly += p.NewlyBlocked
		out.Body.Freed += p.NewlyPullable
		out.Body.Complete = out.Body.Complete && p.Complete
	}
	return out, nil
}

func showEffects(changes []policy.Change) []PolicyEffect {
	const most = 5
	shown := make([]PolicyEffect, len(changes))
	for i, c := range changes {
		shown[i] = PolicyEffect{Repository: c.Repository, Digest: c.Digest, Reasons: []string{}}
		for _, r := range c.Reasons[:min(len(c.Reasons), most)] {
			shown[i].Reasons = append(shown[i].Reasons, r.Message)
		}
	}
	return shown
}
