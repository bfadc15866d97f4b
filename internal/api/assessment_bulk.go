package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// BulkAssessment asks for many assessments at once: one decision on many
// vulnerabilities in one scope or several, or items with a decision each.
type BulkAssessment struct {
	Vulnerability   string               `json:"vulnerability,omitempty" maxLength:"200" doc:"One vulnerability."`
	Vulnerabilities []string             `json:"vulnerabilities,omitempty" maxItems:"10000" nullable:"false" doc:"Many vulnerabilities."`
	Filter          *VulnerabilityFilter `json:"filter,omitempty" doc:"The vulnerabilities that the list of vulnerabilities shows with the same filter."`
	Scope           *Scope               `json:"scope,omitempty"`
	Scopes          []Scope              `json:"scopes,omitempty" maxItems:"10000" nullable:"false" doc:"Several scopes; each vulnerability is assessed in each."`
	Type            string               `json:"type,omitempty" maxLength:"200" example:"Block"`
	Comment         string               `json:"comment,omitempty" maxLength:"10000"`
	Justification   string               `json:"justification,omitempty" maxLength:"100" doc:"Why it does not matter, in the words of VEX."`
	ExpiresAt       Optional[time.Time]  `json:"expires_at,omitempty" doc:"Absent: after the type's days; null: never."`
	Items           []BulkItem           `json:"items,omitempty" maxItems:"10000" nullable:"false" doc:"Decisions of their own, instead of all of the above."`
}

// BulkItem is one decision of many.
type BulkItem struct {
	Vulnerability string              `json:"vulnerability" maxLength:"200"`
	Scope         Scope               `json:"scope"`
	Type          string              `json:"type" maxLength:"200"`
	Comment       string              `json:"comment,omitempty" maxLength:"10000"`
	Justification string              `json:"justification,omitempty" maxLength:"100"`
	ExpiresAt     Optional[time.Time] `json:"expires_at,omitempty"`
}

// BulkResult is what was taken.
type BulkResult struct {
	Count       int          `json:"count"`
	Assessments []Assessment `json:"assessments" nullable:"false" doc:"The first thousand."`
}

// PreviewResult is what assessments would change.
type PreviewResult struct {
	Assessments    int             `json:"assessments" doc:"How many would be taken."`
	Superseded     int             `json:"superseded" doc:"How many live ones they would take the place of."`
	Same           int             `json:"same" doc:"How many of those are of the same type."`
	Complete       bool            `json:"complete" doc:"Whether all images were looked at; else what follows counts the first ones only."`
	ImagesExamined int             `json:"images_examined" doc:"Images count once for each repository that holds them."`
	Findings       int             `json:"findings" doc:"How many would have another state."`
	Images         int             `json:"images" doc:"How many have such findings."`
	BecomeBlocked  int             `json:"become_blocked" doc:"How many could be pulled, and could not any more."`
	BecomePullable int             `json:"become_pullable" doc:"How many could not be pulled, and could."`
	Samples        []PreviewSample `json:"samples" nullable:"false" doc:"A few of the images, those that could or could not be pulled any more first."`
}

// PreviewSample is an image whose findings would have other states.
type PreviewSample struct {
	Registry      string          `json:"registry"`
	Repository    string          `json:"repository"`
	Digest        string          `json:"digest"`
	BlockedBefore bool            `json:"blocked_before"`
	BlockedAfter  bool            `json:"blocked_after"`
	Changes       []PreviewChange `json:"changes" nullable:"false" doc:"The first few."`
}

// PreviewChange is a finding that would have another state.
type PreviewChange struct {
	Vulnerability string `json:"vulnerability"`
	Package       string `json:"package"`
	Version       string `json:"version"`
	Before        string `json:"before"`
	After         string `json:"after"`
}

// maxBulk bounds the body of a request on many vulnerabilities, in bytes.
const maxBulk = 16 << 20

func (a *API) assessmentBulk() {
	const tag = "assessments"
	register(a, operation{id: "create-assessments", access: access{place: signedIn}, method: http.MethodPost, path: "/assessments/bulk", tag: tag, status: http.StatusCreated, body: maxBulk,
		summary: "Assess many vulnerabilities at once",
		doc:     "All or none: where anything is wrong, each mistake is named and nothing is changed. At most 10,000 assessments."}, a.bulkAssess)
	register(a, operation{id: "preview-assessments", access: access{place: signedIn}, method: http.MethodPost, path: "/assessments/preview", tag: tag, body: maxBulk,
		summary: "Preview assessments",
		doc:     "What the same request would change if it were made: which findings, and which images could be pulled, or not any more. Nothing is stored."}, a.previewAssess)
}

// expiry is what a member asks for.
func expiry(o Optional[time.Time]) assess.Expiry {
	return assess.Expiry{At: o.Value, Never: o.Null}
}

// requests are the assessments that a body asks for, with where in the body the
// fields of each are.
func (a *API) requests(ctx context.Context, b BulkAssessment) ([]assess.Request, assess.Locate, error) {
	author := principal(ctx).Name
	var requests []assess.Request
	if len(b.Items) > 0 {
		if b.Vulnerability != "" || len(b.Vulnerabilities) > 0 || b.Filter != nil || b.Scope != nil || len(b.Scopes) > 0 || b.Type != "" {
			return nil, nil, invalid("body.items", "stand alone: name vulnerabilities, scopes and types in them, or no items")
		}
		for _, item := range b.Items {
			requests = append(requests, assess.Request{Vulnerability: item.Vulnerability, Type: item.Type, Scope: item.Scope.scope(), Comment: item.Comment,
				Justification: item.Justification, Author: author, Expiry: expiry(item.ExpiresAt)})
		}
		return requests, func(i int, field string) string { return fmt.Sprintf("items[%d].%s", i, field) }, nil
	}
	given := 0
	for _, is := range []bool{b.Vulnerability != "", len(b.Vulnerabilities) > 0, b.Filter != nil} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, nil, invalid("body", "one of vulnerability, vulnerabilities, filter and items is wanted")
	}
	names := b.Vulnerabilities
	switch {
	case b.Vulnerability != "":
		names = []string{b.Vulnerability}
	case b.Filter != nil:
		var err error
		if names, err = a.filtered(ctx, *b.Filter); err != nil {
			return nil, nil, err
		}
	}
	scopes := b.Scopes
	if b.Scope != nil {
		if len(scopes) > 0 {
			return nil, nil, invalid("body.scopes", "give scope or scopes, not both")
		}
		scopes = []Scope{*b.Scope}
	}
	if len(scopes) == 0 {
		return nil, nil, invalid("body.scope", "is wanted")
	}
	if n := len(names) * len(scopes); n > assess.MaxRequests {
		return nil, nil, invalid("body", fmt.Sprintf("asks for %d assessments, more than %d", n, assess.MaxRequests))
	}
	for _, name := range names {
		for _, scope := range scopes {
			requests = append(requests, assess.Request{Vulnerability: name, Type: b.Type, Scope: scope.scope(), Comment: b.Comment,
				Justification: b.Justification, Author: author, Expiry: expiry(b.ExpiresAt)})
		}
	}
	return requests, func(i int, field string) string {
		of, in := i/len(scopes), i%len(scopes)
		rest, scope := strings.CutPrefix(field, "scope")
		switch {
		case field == "vulnerability" && b.Filter != nil:
			return "filter"
		case field == "vulnerability" && b.Vulnerability == "":
			return fmt.Sprintf("vulnerabilities[%d]", of)
		case scope && b.Scope == nil:
			return fmt.Sprintf("scopes[%d]%s", in, rest)
		}
		return field
	}, nil
}

// filtered names the vulnerabilities that a filter lets through.
func (a *API) filtered(ctx context.Context, f VulnerabilityFilter) ([]string, error) {
	filter, err := a.filter(ctx, f, "body.filter.")
	if err != nil {
		return nil, err
	}
	filter.Limit = assess.MaxRequests + 1
	found, err := a.Vulnerabilities.Vulnerabilities(ctx, filter)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(found))
	for i, v := range found {
		names[i] = v.Name
	}
	if len(names) > assess.MaxRequests {
		return nil, invalid("body.filter", fmt.Sprintf("lets more than %d vulnerabilities through", assess.MaxRequests))
	}
	if len(names) == 0 {
		return nil, invalid("body.filter", "lets no vulnerability through")
	}
	return names, nil
}

func (a *API) bulkAssess(ctx context.Context, in *struct{ Body BulkAssessment }) (*one[BulkResult], error) {
	requests, at, err := a.requests(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if err := a.mayAssessAll(ctx, requests); err != nil {
		return nil, err
	}
	created, err := a.Assessments.AssessAll(ctx, requests, at)
	if err != nil {
		return nil, err
	}
	const shown = 1000
	result := BulkResult{Count: len(created), Assessments: []Assessment{}}
	for _, c := range created[:min(len(created), shown)] {
		result.Assessments = append(result.Assessments, showAssessment(c))
	}
	return &one[BulkResult]{result}, a.audit(ctx, "assessment.create", fmt.Sprintf("%d assessments", len(created)), struct {
		First int64 `json:"first_id"`
		Last  int64 `json:"last_id"`
	}{created[0].ID, created[len(created)-1].ID})
}

func (a *API) previewAssess(ctx context.Context, in *struct {
	Patience
	Body BulkAssessment
}) (*one[PreviewResult], error) {
	requests, at, err := a.requests(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if err := a.mayAssessAll(ctx, requests); err != nil {
		return nil, err
	}
	p, err := a.Assessments.Preview(ctx, requests, at, in.patience())
	if err != nil {
		return nil, err
	}
	return &one[PreviewResult]{showPreview(p)}, nil
}

func showPreview(p assess.Preview) PreviewResult {
	shown := PreviewResult{Assessments: p.Assessments, Superseded: p.Superseded, Same: p.Same, Complete: p.Complete, ImagesExamined: p.Examined,
		Findings: p.Findings, Images: p.Images, BecomeBlocked: p.Blocked, BecomePullable: p.Pullable, Samples: []PreviewSample{}}
	for _, s := range p.Samples {
		sample := PreviewSample{Registry: s.Registry, Repository: s.Repository, Digest: s.Digest, BlockedBefore: s.Before, BlockedAfter: s.After, Changes: []PreviewChange{}}
		for _, c := range s.Changes {
			sample.Changes = append(sample.Changes, PreviewChange(c))
		}
		shown.Samples = append(shown.Samples, sample)
	}
	return shown
}

// mayAssessAll looks at each scope once.
func (a *API) mayAssessAll(ctx context.Context, requests []assess.Request) error {
	looked := make(map[assess.Scope]bool)
	for _, r := range requests {
		if looked[r.Scope] {
			continue
		}
		if err := a.mayAssess(ctx, r.Scope); err != nil {
			return err
		}
		looked[r.Scope] = true
	}
	return nil
}
