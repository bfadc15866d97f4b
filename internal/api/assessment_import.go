package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/assess/exchange"
	"github.com/pratique/pratique/internal/sbom"
	"github.com/pratique/pratique/internal/vex"
)

// ImportResult is what became of a file of decisions.
type ImportResult struct {
	Format  string         `json:"format" enum:"csv,trivyignore,trivyignore-yaml,grype,clair,vex"`
	Applied bool           `json:"applied" doc:"Whether the decisions were stored."`
	Counts  ImportCounts   `json:"counts"`
	Lines   []ImportedLine `json:"lines" nullable:"false" doc:"What became of each line, the first ten thousand; those that are bad are among them in any case."`
	Preview *PreviewResult `json:"preview,omitempty" doc:"What would change, of a dry run."`
}

// ImportCounts says how many lines there are of each outcome.
type ImportCounts struct {
	New      int `json:"new"`
	Replaces int `json:"replaces"`
	Waits    int `json:"waits"`
	Same     int `json:"same"`
	Skipped  int `json:"skipped"`
	Bad      int `json:"bad"`
}

// ImportedLine is a line with what became of it.
type ImportedLine struct {
	Line       int         `json:"line" doc:"From 1; of VEX, the statement."`
	Text       string      `json:"text"`
	Outcome    string      `json:"outcome" enum:"new,replaces,waits,same,skipped,bad" doc:"Waits: it is assessed, and takes effect when what it names is there."`
	Reason     string      `json:"reason,omitempty" doc:"Why it is bad or skipped, or what it waits for."`
	Note       string      `json:"note,omitempty" doc:"What of the line no assessment can express."`
	Assessment *Assessment `json:"assessment,omitempty" doc:"What it becomes; its id is 0 in a dry run."`
	Replaced   int64       `json:"replaced_id,omitempty" doc:"The live assessment in whose place it comes, or that says the same."`
}

func (a *API) assessmentImport() {
	register(a, operation{id: "import-assessments", method: http.MethodPost, path: "/assessments/import", tag: "assessments", document: exchange.MaxBytes + 64<<10,
		summary: "Import decisions",
		doc: "CSV with a header (vulnerability, type, scope_kind, scope_value, comment, justification, author, created_at, expires_at, or ProGet's names), " +
			".trivyignore, .trivyignore.yaml, Grype's ignore rules, clair-scanner's whitelist, OpenVEX, CSAF or CycloneDX VEX; as the body, or as the file of a form. " +
			"All or none, unless bad lines are to be skipped. What is not known yet is kept, and takes effect when it is.", administrators: true}, a.importAssessments)
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}
	form := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": file.Schema}}}
	a.huma.OpenAPI().Paths["/assessments/import"].Post.RequestBody = &huma.RequestBody{Required: true,
		Content: map[string]*huma.MediaType{"application/octet-stream": file, "multipart/form-data": form}}
}

func (a *API) importAssessments(ctx context.Context, in *struct {
	Format      string `query:"format" enum:"csv,trivyignore,trivyignore-yaml,grype,clair,vex,openvex,cyclonedx,csaf" doc:"Absent: told by the content."`
	DryRun      bool   `query:"dry_run" doc:"Only say what would become of each line, and what would change."`
	SkipBad     bool   `query:"skip_bad" doc:"Import the rest where some lines are bad."`
	Type        string `query:"type" maxLength:"200" doc:"The type of lines that name none; absent: what VEX statements become."`
	ScopeKind   string `query:"scope_kind" enum:"everywhere,registry,repository,image,package" doc:"The scope of lines that name none; absent: everywhere."`
	ScopeValue  string `query:"scope_value" maxLength:"512"`
	Registry    string `query:"registry" maxLength:"200" doc:"Where the images of clair-scanner's whitelist are."`
	TypeExpiry  bool   `query:"type_expiry" doc:"Lines without an expiry get their type's; else they never expire."`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/octet-stream"`
}) (*one[ImportResult], error) {
	content, err := uploaded(in.ContentType, in.RawBody)
	if err != nil {
		return nil, err
	}
	format := exchange.Format(in.Format)
	switch format {
	case "openvex", "cyclonedx", "csaf":
		format = exchange.VEX
	}
	format, lines, err := exchange.Read(content, format, exchange.Options{Registry: in.Registry})
	if errors.Is(err, exchange.ErrInvalid) {
		return nil, invalid("body", err.Error())
	}
	if err != nil {
		return nil, err
	}
	result, err := a.Assessments.Import(ctx, lines, assess.ImportOptions{
		By: principal(ctx).Name, Source: string(format), Type: in.Type, Scope: assess.Scope{Kind: assess.ScopeKind(in.ScopeKind), Value: in.ScopeValue},
		TypeExpiry: in.TypeExpiry, SkipBad: in.SkipBad, DryRun: in.DryRun,
	})
	if fields := (assess.FieldErrors)(nil); errors.As(err, &fields) {
		for i, f := range fields {
			fields[i] = &assess.FieldError{Field: strings.Replace(f.Field, "line ", "lines.", 1), Reason: f.Field + ": " + f.Reason}
		}
		return nil, fields
	}
	if err != nil {
		return nil, importQuery(err)
	}
	shown := showImport(format, result, in.DryRun)
	if in.DryRun {
		return &one[ImportResult]{shown}, nil
	}
	return &one[ImportResult]{shown}, a.audit(ctx, "assessment.import", "assessments", struct {
		Format exchange.Format `json:"format"`
		Counts ImportCounts    `json:"counts"`
	}{format, shown.Counts})
}

// importQuery gives the parameters their names.
func importQuery(err error) error {
	field := (*assess.FieldError)(nil)
	if !errors.As(err, &field) {
		return err
	}
	return invalid("query."+strings.Replace(field.Field, "scope.", "scope_", 1), field.Reason)
}

// uploaded is the body, or the first file of a form.
func uploaded(contentType string, body []byte) ([]byte, error) {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return body, nil
	}
	form := multipart.NewReader(bytes.NewReader(body), parameters["boundary"])
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, invalid("body", "the form holds no file")
		}
		if err != nil {
			return nil, invalid("body", "is not a form: "+err.Error())
		}
		if part.FileName() == "" && part.FormName() != "file" {
			continue
		}
		content, err := io.ReadAll(io.LimitReader(part, exchange.MaxBytes+1))
		if err != nil {
			return nil, invalid("body", "is not a form: "+err.Error())
		}
		return content, nil
	}
}

func showImport(format exchange.Format, r assess.ImportResult, dry bool) ImportResult {
	const most = 10_000
	shown := ImportResult{Format: string(format), Applied: r.Applied, Lines: []ImportedLine{}, Counts: ImportCounts{
		New: r.Counts[assess.Taken], Replaces: r.Counts[assess.Replaces], Waits: r.Counts[assess.Waits],
		Same: r.Counts[assess.Same], Skipped: r.Counts[assess.Skipped], Bad: r.Counts[assess.Bad],
	}}
	for _, l := range r.Lines {
		if len(shown.Lines) >= most && l.Outcome != assess.Bad {
			continue
		}
		line := ImportedLine{Line: l.Number, Text: l.Text, Outcome: string(l.Outcome), Reason: l.Reason, Note: l.Note, Replaced: l.Replaced}
		if l.Assessment.Vulnerability != "" && l.Outcome != assess.Bad && l.Outcome != assess.Skipped {
			becomes := showAssessment(l.Assessment)
			line.Assessment = &becomes
		}
		shown.Lines = append(shown.Lines, line)
	}
	if dry {
		preview := showPreview(r.Preview)
		shown.Preview = &preview
	}
	return shown
}

func (a *API) assessmentExport() {
	register(a, operation{id: "export-assessments", access: access{place: signedIn}, method: http.MethodGet, path: "/assessments/export", tag: "assessments",
		summary: "Export decisions", doc: "What people, and VEX documents, decided and holds now; what rules decided is left out."}, a.exportAssessments)
	document := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject}}
	a.huma.OpenAPI().Paths["/assessments/export"].Get.Responses["200"].Content = map[string]*huma.MediaType{
		csvType: {Schema: &huma.Schema{Type: huma.TypeString}}, openVEXType: document, sbom.CycloneDXType: document}
}

const csvType = "text/csv"

// batches reads all decisions that are exported, a thousand at a time.
func (a *API) batches(ctx context.Context, each func([]assess.Assessment) error) error {
	const batch = 1000
	people := false
	for filter := (assess.Filter{Automatic: &people, In: readable(ctx), Limit: batch}); ; {
		found, err := a.Assessments.Assessments(ctx, filter, true)
		if err != nil {
			return err
		}
		if err := each(found); err != nil || len(found) < batch {
			return err
		}
		filter.Before = found[batch-1].ID
	}
}

func (a *API) exportAssessments(ctx context.Context, in *struct {
	Format string `query:"format" enum:"csv,openvex,cyclonedx" default:"csv" doc:"CSV that can be imported again; OpenVEX 0.2.0 or CycloneDX 1.6, as JSON."`
}) (*huma.StreamResponse, error) {
	if in.Format == "csv" {
		return attachment(csvType+"; charset=utf-8; header=present", "assessments.csv", func(ctx context.Context, out io.Writer) error {
			w, err := exchange.NewCSVWriter(out)
			if err != nil {
				return err
			}
			return a.batches(ctx, w.Write)
		}), nil
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	clears := ""
	for _, t := range types {
		if t.ForVEX {
			clears = t.Name
		}
	}
	stream := func(kind, name string, writer func(io.Writer, string) *vex.DecisionsWriter) *huma.StreamResponse {
		return attachment(kind, name, func(ctx context.Context, out io.Writer) error {
			w := writer(out, a.version)
			if err := a.batches(ctx, func(some []assess.Assessment) error { return w.Write(exchange.Decisions(some, clears)) }); err != nil {
				return err
			}
			return w.Close()
		})
	}
	if in.Format == "cyclonedx" {
		return stream(sbom.CycloneDXType, "assessments.vex.cdx.json", vex.NewCycloneDXWriter), nil
	}
	return stream(openVEXType, "assessments.openvex.json", vex.NewOpenVEXWriter), nil
}

// attachment is a file that is written while it is sent. What fails then can only be
// told by cutting it off.
func attachment(kind, name string, write func(context.Context, io.Writer) error) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(h huma.Context) {
		h.SetHeader("Content-Type", kind)
		h.SetHeader("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name))
		if err := write(h.Context(), h.BodyWriter()); err != nil {
			slog.ErrorContext(h.Context(), "an attachment was cut off", "name", name, "error", err)
			panic(http.ErrAbortHandler)
		}
	}}
}
