package api

import (
	"context"
	"net/http"

	"github.com/pratique/pratique/internal/assess"
)

// AssessmentType is a kind of decision.
type AssessmentType struct {
	Name        string `json:"name" doc:"Unique; it never changes."`
	Color       string `json:"color" example:"#dc2626"`
	Description string `json:"description"`
	Blocks      bool   `json:"blocks" doc:"Whether it blocks pulls in the registries whose policy does not name the blocking types itself."`
	ExpiryDays  *int   `json:"expiry_days" doc:"How long an assessment holds that does not say; null for ever."`
	Position    int    `json:"position" doc:"Orders lists, the lowest first."`
}

func showType(t assess.Type) AssessmentType {
	shown := AssessmentType{Name: t.Name, Color: t.Color, Description: t.Description, Blocks: t.Blocks, Position: t.Position}
	if t.ExpiryDays > 0 {
		shown.ExpiryDays = &t.ExpiryDays
	}
	return shown
}

func (a *API) assessmentTypes() {
	const tag = "assessments"
	register(a, operation{id: "list-assessment-types", method: http.MethodGet, path: "/assessment-types", tag: tag,
		summary: "List assessment types", doc: "By position, then name; always one page."}, a.listTypes)
	register(a, operation{id: "create-assessment-type", method: http.MethodPost, path: "/assessment-types", tag: tag, status: http.StatusCreated,
		summary: "Add an assessment type", administrators: true}, a.createType)
	register(a, operation{id: "change-assessment-type", method: http.MethodPatch, path: "/assessment-types/{name}", tag: tag,
		summary: "Change an assessment type", doc: "What is absent stays.", administrators: true}, a.changeType)
}

func (a *API) listTypes(ctx context.Context, _ *struct{}) (*listed[AssessmentType], error) {
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[AssessmentType]{List[AssessmentType]{Items: make([]AssessmentType, len(types))}}
	for i, t := range types {
		out.Body.Items[i] = showType(t)
	}
	return out, nil
}

func (a *API) createType(ctx context.Context, in *struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"64"`
		Color       string `json:"color,omitempty" doc:"#rrggbb; grey where absent."`
		Description string `json:"description,omitempty" maxLength:"1000"`
		Blocks      bool   `json:"blocks,omitempty"`
		ExpiryDays  *int   `json:"expiry_days,omitempty" minimum:"1" maximum:"3650" nullable:"true" doc:"Absent or null: for ever."`
		Position    int    `json:"position,omitempty" minimum:"0" maximum:"1000000"`
	}
}) (*one[AssessmentType], error) {
	b := in.Body
	t := assess.Type{Name: b.Name, Color: b.Color, Description: b.Description, Blocks: b.Blocks, Position: b.Position}
	if b.ExpiryDays != nil {
		t.ExpiryDays = *b.ExpiryDays
	}
	if t.Color == "" {
		t.Color = "#6b7280"
	}
	t, err := a.Assessments.CreateType(ctx, t)
	if err != nil {
		return nil, err
	}
	shown := showType(t)
	return &one[AssessmentType]{shown}, a.audit(ctx, "assessment-type.create", "assessment type "+t.Name, shown)
}

func (a *API) changeType(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body struct {
		Color       *string       `json:"color,omitempty"`
		Description *string       `json:"description,omitempty" maxLength:"1000"`
		Blocks      *bool         `json:"blocks,omitempty"`
		ExpiryDays  Optional[int] `json:"expiry_days,omitempty" minimum:"1" maximum:"3650" doc:"Null: for ever."`
		Position    *int          `json:"position,omitempty" minimum:"0" maximum:"1000000"`
	}
}) (*one[AssessmentType], error) {
	b := in.Body
	change := assess.TypeChange{Color: b.Color, Description: b.Description, Blocks: b.Blocks, Position: b.Position}
	if b.ExpiryDays.Sent {
		change.ExpiryDays = &b.ExpiryDays.Value
	}
	t, err := a.Assessments.ChangeType(ctx, in.Name, change)
	if err != nil {
		return nil, err
	}
	shown := showType(t)
	return &one[AssessmentType]{shown}, a.audit(ctx, "assessment-type.change", "assessment type "+t.Name, shown)
}
