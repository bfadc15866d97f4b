package api

import (
	"context"
	"net/http"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
)

// AssessmentType is a kind of decision.
type AssessmentType struct {
	Name        string          `json:"name" doc:"Unique. Policies that name it follow where it changes."`
	Color       string          `json:"color" example:"#dc2626"`
	Description string          `json:"description"`
	Effect      string          `json:"effect" enum:"blocks,warns,none" doc:"What it does to pulls in the registries whose policy does not name types itself."`
	Blocks      bool            `json:"blocks" doc:"Whether its effect is blocks."`
	ExpiryDays  *int            `json:"expiry_days" doc:"How long an assessment holds that does not say; null for ever."`
	Position    int             `json:"position" doc:"Orders lists and rules, the lowest first."`
	Enabled     bool            `json:"enabled" doc:"Whether it can be chosen, and its rule is followed. What was assessed with it holds either way."`
	Rule        *AssessmentRule `json:"rule,omitempty" doc:"The findings that it assesses by itself; absent for none."`
	ReopenOn    []string        `json:"reopen_on" nullable:"false" enum:"fix_available,severity_raised,exploited" doc:"What returns people's assessments of the type to unassessed."`
	ForVEX      bool            `json:"for_vex" doc:"Whether statements of VEX documents become this type. One type does."`
	ETag        string          `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

// AssessmentRule says which findings a type assesses. All conditions must hold.
type AssessmentRule struct {
	SeverityFrom *string  `json:"severity_from,omitempty" enum:"critical,high,medium,low,negligible,unknown" doc:"The gravest severity is at least this."`
	SeverityTo   *string  `json:"severity_to,omitempty" enum:"critical,high,medium,low,negligible,unknown" doc:"The gravest severity is at most this."`
	CVSSFrom     *float64 `json:"cvss_from,omitempty" minimum:"0" maximum:"10" doc:"The base score is at least this. What has no score does not match."`
	CVSSTo       *float64 `json:"cvss_to,omitempty" minimum:"0" maximum:"10"`
	EPSSFrom     *float64 `json:"epss_from,omitempty" minimum:"0" maximum:"1" doc:"The probability of being exploited is at least this."`
	Exploited    *bool    `json:"exploited,omitempty" doc:"Whether it is on a list of exploited vulnerabilities, such as CISA's."`
	FixAvailable *bool    `json:"fix_available,omitempty" doc:"True: there is a fix for all affected packages of the name. False: there is one for none."`
	Packages     []string `json:"packages,omitempty" maxItems:"100" nullable:"false" doc:"Patterns, of which one must match the package's name; ** stands for any number of elements between slashes." example:"[\"linux-*\"]"`
	Paths        []string `json:"paths,omitempty" maxItems:"100" nullable:"false" doc:"Patterns, of which one must match the path of the package in every image." example:"[\"usr/share/doc/**\"]"`
	Feeds        []string `json:"feeds,omitempty" maxItems:"100" nullable:"false" doc:"All findings are from these feeds." example:"[\"debian\"]"`
	PackageTypes []string `json:"package_types,omitempty" maxItems:"100" nullable:"false" doc:"All packages are of these types." example:"[\"deb\"]"`
}

func showType(t assess.Type) AssessmentType {
	shown := AssessmentType{Name: t.Name, Color: t.Color, Description: t.Description, Effect: string(t.Effect), Blocks: t.Blocks, Position: t.Position,
		Enabled: t.Enabled, ReopenOn: make([]string, len(t.Reopen)), ForVEX: t.ForVEX, ETag: etag(t.Version)}
	if t.ExpiryDays > 0 {
		shown.ExpiryDays = &t.ExpiryDays
	}
	for i, r := range t.Reopen {
		shown.ReopenOn[i] = string(r)
	}
	if r := t.Rule; r != nil {
		shown.Rule = &AssessmentRule{SeverityFrom: severityName(r.SeverityFrom), SeverityTo: severityName(r.SeverityTo), CVSSFrom: r.CVSSFrom, CVSSTo: r.CVSSTo,
			EPSSFrom: r.EPSSFrom, Exploited: r.Exploited, FixAvailable: r.FixAvailable, Packages: r.Packages, Paths: r.Paths, Feeds: r.Feeds, PackageTypes: r.PackageTypes}
	}
	return shown
}

func severityName(s *advisory.Severity) *string {
	if s == nil {
		return nil
	}
	name := s.String()
	return &name
}

// rule is the rule that was sent.
func (r *AssessmentRule) rule() (*assess.Rule, error) {
	if r == nil {
		return nil, nil
	}
	rule := &assess.Rule{CVSSFrom: r.CVSSFrom, CVSSTo: r.CVSSTo, EPSSFrom: r.EPSSFrom, Exploited: r.Exploited, FixAvailable: r.FixAvailable,
		Packages: r.Packages, Paths: r.Paths, Feeds: r.Feeds, PackageTypes: r.PackageTypes}
	for _, bound := range []struct {
		field string
		from  *string
		to    **advisory.Severity
	}{{"severity_from", r.SeverityFrom, &rule.SeverityFrom}, {"severity_to", r.SeverityTo, &rule.SeverityTo}} {
		if bound.from == nil {
			continue
		}
		severity, err := advisory.ParseSeverity(*bound.from)
		if err != nil {
			return nil, invalid("body.rule."+bound.field, err.Error())
		}
		*bound.to = &severity
	}
	return rule, nil
}

func reopenings(names []string) []assess.Reopening {
	list := make([]assess.Reopening, len(names))
	for i, name := range names {
		list[i] = assess.Reopening(name)
	}
	return list
}

func (a *API) assessmentTypes() {
	const tag = "assessments"
	register(a, operation{id: "list-assessment-types", access: access{place: signedIn}, method: http.MethodGet, path: "/assessment-types", tag: tag,
		summary: "List assessment types", doc: "By position, then name; always one page."}, a.listTypes)
	register(a, operation{id: "create-assessment-type", method: http.MethodPost, path: "/assessment-types", tag: tag, status: http.StatusCreated,
		summary: "Add an assessment type", doc: "What its rule matches is assessed in the background.", administrators: true}, a.createType)
	register(a, operation{id: "get-assessment-type", access: access{place: signedIn}, method: http.MethodGet, path: "/assessment-types/{name}", tag: tag,
		summary: "Show an assessment type"}, a.assessmentType)
	register(a, operation{id: "change-assessment-type", method: http.MethodPatch, path: "/assessment-types/{name}", tag: tag,
		summary: "Change an assessment type", doc: "What is absent stays. Where its rule changes, what it assessed is judged again in the background.", administrators: true}, a.changeType)
	register(a, operation{id: "order-assessment-types", method: http.MethodPut, path: "/assessment-type-order", tag: tag,
		summary: "Order the assessment types", doc: "The first type whose rule matches assesses.", administrators: true}, a.orderTypes)
	register(a, operation{id: "delete-assessment-type", method: http.MethodDelete, path: "/assessment-types/{name}", tag: tag, status: http.StatusNoContent,
		summary: "Delete an assessment type",
		doc:     "One that live assessments or policies use is refused, unless another takes its place. What its rule assessed ends.", administrators: true}, a.deleteType)
}

func (a *API) listTypes(ctx context.Context, _ *struct{}) (*listed[AssessmentType], error) {
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	return listTypes(types), nil
}

func listTypes(types []assess.Type) *listed[AssessmentType] {
	out := &listed[AssessmentType]{List[AssessmentType]{Items: make([]AssessmentType, len(types))}}
	for i, t := range types {
		out.Body.Items[i] = showType(t)
	}
	return out
}

func taggedType(t assess.Type) *tagged[AssessmentType] {
	return &tagged[AssessmentType]{ETag: etag(t.Version), Body: showType(t)}
}

func (a *API) assessmentType(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"200"`
}) (*tagged[AssessmentType], error) {
	t, err := a.Assessments.Type(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return taggedType(t), nil
}

func (a *API) createType(ctx context.Context, in *struct {
	Body struct {
		Name        string          `json:"name" minLength:"1" maxLength:"64"`
		Color       string          `json:"color,omitempty" doc:"#rrggbb; grey where absent."`
		Description string          `json:"description,omitempty" maxLength:"1000"`
		Effect      string          `json:"effect,omitempty" enum:"blocks,warns,none" doc:"Absent: none, or blocks where that member is true."`
		Blocks      *bool           `json:"blocks,omitempty" doc:"True is the same as the effect blocks."`
		ExpiryDays  *int            `json:"expiry_days,omitempty" minimum:"1" maximum:"3650" nullable:"true" doc:"Absent or null: for ever."`
		Position    int             `json:"position,omitempty" minimum:"0" maximum:"1000000"`
		Enabled     *bool           `json:"enabled,omitempty" doc:"Absent: true."`
		Rule        *AssessmentRule `json:"rule,omitempty"`
		ReopenOn    *[]string       `json:"reopen_on,omitempty" nullable:"false" enum:"fix_available,severity_raised,exploited" doc:"Absent: all of them, or none where the type blocks."`
		ForVEX      bool            `json:"for_vex,omitempty"`
	}
}) (*tagged[AssessmentType], error) {
	b := in.Body
	if err := agree(b.Effect, b.Blocks); err != nil {
		return nil, err
	}
	t := assess.Type{Name: b.Name, Color: b.Color, Description: b.Description, Effect: assess.Effect(b.Effect), Blocks: b.Blocks != nil && *b.Blocks,
		Position: b.Position, Enabled: b.Enabled == nil || *b.Enabled, ForVEX: b.ForVEX}
	if b.ExpiryDays != nil {
		t.ExpiryDays = *b.ExpiryDays
	}
	if t.Color == "" {
		t.Color = "#6b7280"
	}
	switch {
	case b.ReopenOn != nil:
		t.Reopen = reopenings(*b.ReopenOn)
	case t.Effect != assess.EffectBlocks && !t.Blocks:
		t.Reopen = assess.Reopenings()
	}
	var err error
	if t.Rule, err = b.Rule.rule(); err != nil {
		return nil, err
	}
	if t, err = a.Assessments.CreateType(ctx, t); err != nil {
		return nil, err
	}
	return taggedType(t), a.audit(ctx, "assessment-type.create", "assessment type "+t.Name, showType(t))
}

// agree refuses two members that contradict one another.
func agree(effect string, blocks *bool) error {
	if effect != "" && blocks != nil && *blocks != (effect == string(assess.EffectBlocks)) {
		return invalid("body.blocks", "contradicts the effect "+effect)
	}
	return nil
}

func (a *API) changeType(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"200"`
	IfMatch
	Body struct {
		Name        *string                   `json:"name,omitempty" minLength:"1" maxLength:"64"`
		Color       *string                   `json:"color,omitempty"`
		Description *string                   `json:"description,omitempty" maxLength:"1000"`
		Effect      *string                   `json:"effect,omitempty" enum:"blocks,warns,none"`
		Blocks      *bool                     `json:"blocks,omitempty" doc:"True is the same as the effect blocks, false as none where it blocks."`
		ExpiryDays  Optional[int]             `json:"expiry_days,omitempty" minimum:"1" maximum:"3650" doc:"Null: for ever."`
		Position    *int                      `json:"position,omitempty" minimum:"0" maximum:"1000000"`
		Enabled     *bool                     `json:"enabled,omitempty"`
		Rule        Optional[*AssessmentRule] `json:"rule,omitempty" doc:"Replaces the whole rule; null: none."`
		ReopenOn    *[]string                 `json:"reopen_on,omitempty" nullable:"false" enum:"fix_available,severity_raised,exploited"`
		ForVEX      *bool                     `json:"for_vex,omitempty" doc:"True takes it from the type that had it."`
	}
}) (*tagged[AssessmentType], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	b := in.Body
	if err := agree(orZero(b.Effect), b.Blocks); err != nil {
		return nil, err
	}
	change := assess.TypeChange{Name: b.Name, Color: b.Color, Description: b.Description, Effect: (*assess.Effect)(b.Effect), Blocks: b.Blocks,
		Position: b.Position, Enabled: b.Enabled, ForVEX: b.ForVEX}
	if b.ExpiryDays.Sent {
		change.ExpiryDays = &b.ExpiryDays.Value
	}
	if b.Rule.Sent {
		rule, err := b.Rule.Value.rule()
		if err != nil {
			return nil, err
		}
		change.Rule = &rule
	}
	if b.ReopenOn != nil {
		list := reopenings(*b.ReopenOn)
		change.Reopen = &list
	}
	t, err := a.Assessments.ChangeType(ctx, in.Name, change, version)
	if err != nil {
		return nil, err
	}
	return taggedType(t), a.audit(ctx, "assessment-type.change", "assessment type "+in.Name, showType(t))
}

func (a *API) orderTypes(ctx context.Context, in *struct {
	Body struct {
		Names []string `json:"names" maxItems:"1000" nullable:"false" doc:"All types, in their new order."`
	}
}) (*listed[AssessmentType], error) {
	types, err := a.Assessments.OrderTypes(ctx, in.Body.Names)
	if err != nil {
		return nil, err
	}
	return listTypes(types), a.audit(ctx, "assessment-type.order", "assessment types", in.Body)
}

func (a *API) deleteType(ctx context.Context, in *struct {
	Name      string `path:"name" maxLength:"200"`
	ReplaceBy string `query:"replace_by" maxLength:"200" doc:"The type that live assessments and policies get instead."`
	IfMatch
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	if err := a.Assessments.DeleteType(ctx, in.Name, in.ReplaceBy, principal(ctx).Name, version); err != nil {
		return nil, atQuery(err)
	}
	return nil, a.audit(ctx, "assessment-type.delete", "assessment type "+in.Name, struct {
		ReplaceBy string `json:"replace_by,omitempty"`
	}{in.ReplaceBy})
}
