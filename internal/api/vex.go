package api

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/sbom"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/vex"
)

// VEX keeps VEX documents and what they come to; *vex.Service is one.
type VEX interface {
	Upload(ctx context.Context, content []byte, image, by string) (vex.Stored, error)
	Document(ctx context.Context, id int64) (vex.Stored, error)
	Documents(ctx context.Context, before int64, limit int) ([]vex.Stored, error)
	Statements(ctx context.Context, id int64, from, limit int) ([]vex.Followed, error)
	Delete(ctx context.Context, id int64, by string) error
}

// VEXDocument is a document that was uploaded, or attached to an image.
type VEXDocument struct {
	ID             int64      `json:"id"`
	Identifier     string     `json:"identifier" doc:"The publisher's name for it."`
	Author         string     `json:"author" doc:"Who it says it is by; signatures are not verified."`
	Format         string     `json:"format" enum:"openvex,csaf,cyclonedx,"`
	Version        string     `json:"version"`
	IssuedAt       *time.Time `json:"issued_at"`
	Digest         string     `json:"digest" doc:"Of its bytes."`
	Origin         string     `json:"origin" enum:"upload,referrer"`
	Image          string     `json:"image,omitempty" doc:"The image, or the index of images, that it is about; absent where its products alone say so."`
	Repository     string     `json:"repository,omitempty" doc:"Where it is attached."`
	Manifest       string     `json:"manifest,omitempty" doc:"The digest of the referrer that holds it."`
	BroughtBy      string     `json:"brought_by" doc:"Who uploaded or pushed it."`
	CreatedAt      time.Time  `json:"created_at"`
	StatementCount int        `json:"statement_count"`
	Skipped        []string   `json:"skipped" nullable:"false" doc:"What in it could not be read, and why."`
	Error          string     `json:"error,omitempty" doc:"Why it cannot be read at all."`
}

// VEXFollowed is a document with a page of its statements.
type VEXFollowed struct {
	VEXDocument
	Statements    []VEXStatement `json:"statements" nullable:"false" doc:"In the order of the document; one page."`
	NextPageToken string         `json:"next_page_token" doc:"Give it as page_token for more statements; empty at their end."`
}

// VEXStatement is what a document says of a vulnerability, and what it came to.
type VEXStatement struct {
	Vulnerability string       `json:"vulnerability"`
	Aliases       []string     `json:"aliases" nullable:"false"`
	Products      []string     `json:"products" nullable:"false" doc:"The first 100."`
	Status        string       `json:"status" enum:"not_affected,affected,fixed,under_investigation"`
	Justification string       `json:"justification,omitempty"`
	Impact        string       `json:"impact,omitempty"`
	Action        string       `json:"action,omitempty"`
	Timestamp     *time.Time   `json:"timestamp"`
	State         string       `json:"state" enum:"applied,partial,noted,overtaken,overruled,ignored,waiting,idle" doc:"What it came to: applied where it did in any image."`
	Reason        string       `json:"reason,omitempty" doc:"Why it did not come to more."`
	ImageCount    int          `json:"image_count" doc:"In how many images it came to anything."`
	Images        []VEXOutcome `json:"images" nullable:"false" doc:"The first 100."`
}

// VEXOutcome is what a statement came to in an image.
type VEXOutcome struct {
	Image        string `json:"image"`
	State        string `json:"state" enum:"applied,partial,noted,overtaken,overruled,ignored"`
	Reason       string `json:"reason,omitempty"`
	AssessmentID int64  `json:"assessment_id,omitempty"`
}

func showVEXDocument(d vex.Stored) VEXDocument {
	shown := VEXDocument{
		ID: d.ID, Identifier: d.Document.ID, Author: d.Author, Format: d.Format, Version: d.Version, IssuedAt: orNil(d.Issued),
		Digest: d.Digest, Origin: "upload", Image: d.Image, Repository: d.Repository, Manifest: d.Manifest, BroughtBy: d.BroughtBy,
		CreatedAt: d.CreatedAt.UTC(), StatementCount: d.StatementCount, Skipped: orEmpty(d.Skipped), Error: d.Error,
	}
	if d.Manifest != "" {
		shown.Origin = "referrer"
	}
	return shown
}

// maxVEX bounds an uploaded document, in bytes.
const maxVEX = 8 << 20

func (a *API) vex() {
	const tag = "vex-documents"
	register(a, operation{id: "upload-vex-document", method: http.MethodPost, path: "/vex-documents", tag: tag, status: http.StatusCreated,
		summary: "Upload a VEX document",
		doc: "OpenVEX, CSAF 2.0, CycloneDX with analyses, or an in-toto statement on OpenVEX. What it says is not affected, or fixed, in stored images " +
			"is assessed in the background. The same document is kept once.", administrators: true, document: maxVEX}, a.uploadVEX)
	register(a, operation{id: "list-vex-documents", method: http.MethodGet, path: "/vex-documents", tag: tag,
		summary: "List VEX documents", doc: "Uploaded ones, and those attached to images; the newest first."}, a.listVEX)
	register(a, operation{id: "get-vex-document", method: http.MethodGet, path: "/vex-documents/{id}", tag: tag,
		summary: "Show a VEX document", doc: "With what each statement came to; page_size and page_token page through the statements."}, a.vexDocument)
	register(a, operation{id: "delete-vex-document", method: http.MethodDelete, path: "/vex-documents/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Withdraw a VEX document", doc: "Its assessments end now and are kept as history. A referrer is read again when it is pushed again.", administrators: true}, a.deleteVEX)
	register(a, operation{id: "get-image-vex", method: http.MethodGet, path: "/images/{digest}/vex", tag: "images",
		summary: "Download an image's assessments as VEX",
		doc:     "One statement for each vulnerability and what is decided on it; what is not assessed is under investigation."}, a.imageVEX)
	document := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeObject}}
	paths := a.huma.OpenAPI().Paths
	paths["/images/{digest}/vex"].Get.Responses["200"].Content = map[string]*huma.MediaType{openVEXType: document, sbom.CycloneDXType: document}
	paths["/vex-documents"].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": document}}
}

func (a *API) uploadVEX(ctx context.Context, in *struct {
	Image   string `query:"image" maxLength:"200" doc:"The digest of the image, or the index, that the document is about; its products say so alone where absent."`
	RawBody []byte `contentType:"application/json"`
}) (*one[VEXDocument], error) {
	if in.Image != "" {
		if err := digest.Digest(in.Image).Validate(); err != nil {
			return nil, invalid("query.image", "is not a digest: "+err.Error())
		}
	}
	stored, err := a.VEX.Upload(ctx, in.RawBody, in.Image, principal(ctx).Name)
	if errors.Is(err, vex.ErrInvalid) {
		return nil, invalid("body", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return &one[VEXDocument]{showVEXDocument(stored)}, nil
}

func (a *API) listVEX(ctx context.Context, in *struct{ Paging }) (*listed[VEXDocument], error) {
	const list = "vex-documents"
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.VEX.Documents(ctx, orZero(before), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(d vex.Stored) int64 { return d.ID }, showVEXDocument), nil
}

type VEXPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) vexDocument(ctx context.Context, in *struct {
	VEXPath
	Paging
}) (*one[VEXFollowed], error) {
	d, err := a.VEX.Document(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := "vex-document " + strconv.FormatInt(d.ID, 10)
	from, err := after[int](in.Paging, list)
	if err != nil {
		return nil, err
	}
	first := 0
	if from != nil {
		first = *from + 1
	}
	followed, err := a.VEX.Statements(ctx, d.ID, first, in.PageSize+1)
	if err != nil {
		return nil, err
	}
	waits, err := a.waitsFor(ctx, d.Image)
	if err != nil {
		return nil, err
	}
	statements := page(in.Paging, list, followed, func(f vex.Followed) int { return f.Position }, func(f vex.Followed) VEXStatement {
		return showVEXStatement(f, waits)
	})
	return &one[VEXFollowed]{VEXFollowed{VEXDocument: showVEXDocument(d), Statements: statements.Body.Items, NextPageToken: statements.Body.NextPageToken}}, nil
}

// waitsFor says why nothing can come of a document on an image yet; "" where
// that is known, or the document is on none in particular.
func (a *API) waitsFor(ctx context.Context, digest string) (string, error) {
	if digest == "" {
		return "", nil
	}
	img, err := a.Images.ImageByDigest(ctx, digest)
	if errors.Is(err, store.ErrNotFound) {
		if _, _, err := a.Images.ManifestByDigest(ctx, digest); err == nil {
			return "", nil // an index
		} else if !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		return "the image " + digest + " is not here", nil
	}
	if err != nil {
		return "", err
	}
	if img.State == image.Pending {
		return "the image is not analysed yet", nil
	}
	return "", nil
}

// showVEXStatement shows the best that a statement came to.
func showVEXStatement(f vex.Followed, waits string) VEXStatement {
	shown := VEXStatement{
		Vulnerability: f.Vulnerability, Aliases: orEmpty(f.Aliases), Products: []string{}, Status: string(f.Status),
		Justification: f.Justification, Impact: f.Impact, Action: f.Action, Timestamp: orNil(f.Timestamp),
		ImageCount: f.OutcomeCount, Images: []VEXOutcome{},
	}
	const most = 100
	for i, p := range f.Products {
		if i == most {
			break
		}
		name := p.ID
		if len(p.Subcomponents) > 0 {
			name += " (" + strings.Join(p.Subcomponents[:min(len(p.Subcomponents), 10)], ", ") + ")"
		}
		shown.Products = append(shown.Products, name)
	}
	for _, o := range f.Outcomes {
		shown.Images = append(shown.Images, VEXOutcome{Image: o.Image, State: string(o.State), Reason: o.Reason, AssessmentID: o.AssessmentID})
	}
	state, reason := vex.Idle, "no stored image has it in such a package"
	switch {
	case len(f.Outcomes) > 0: // in the order of their names, which begins with applied
		state, reason = f.Outcomes[0].State, f.Outcomes[0].Reason
	case !f.Known:
		state, reason = vex.Waiting, "no feed speaks of the vulnerability yet"
	case waits != "":
		state, reason = vex.Waiting, waits
	}
	shown.State, shown.Reason = string(state), reason
	return shown
}

func (a *API) deleteVEX(ctx context.Context, in *VEXPath) (*struct{}, error) {
	return nil, a.VEX.Delete(ctx, in.ID, principal(ctx).Name)
}

const openVEXType = "application/vnd.openvex+json"

// imageVEX serves what is decided on an image's findings as other programs read it.
func (a *API) imageVEX(ctx context.Context, in *struct {
	ImagePath
	Format string `query:"format" enum:"openvex,cyclonedx" default:"openvex" doc:"OpenVEX 0.2.0 or CycloneDX 1.6, as JSON."`
}) (*sbomDocument, error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	if img.State == image.Pending {
		return nil, huma.Error409Conflict("the image is not analysed yet")
	}
	locations, err := a.locations(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	findings, judgements, err := a.Judge.Judge(ctx, img.Digest, placesOf(img.Digest, locations))
	if err != nil {
		return nil, err
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	blocks := make(map[string]bool)
	export := vex.Export{Digest: img.Digest, Created: img.AnalysedAt, Version: a.version}
	for _, t := range types {
		blocks[t.Name] = t.Blocks
		if t.ForVEX {
			export.Type = t.Name
		}
	}
	if len(locations) > 0 {
		export.Repository = locations[0].Repository
	}
	assessments := make(map[int64]assess.Assessment)
	for i, f := range findings {
		shown := showFinding(f, i, judgements)
		d := vex.Decided{Vulnerability: f.Vulnerability, Package: f.Package, FirstSeen: f.FirstSeen}
		if id := shown.AssessmentID; id != 0 {
			if _, known := assessments[id]; !known {
				if assessments[id], err = a.Assessments.Assessment(ctx, id); err != nil {
					return nil, err
				}
			}
			d.Assessment, d.Blocks = assessments[id], shown.Blocks || blocks[shown.State]
		}
		export.Decided = append(export.Decided, d)
	}
	write, kind, extension := vex.WriteOpenVEX, openVEXType, ".openvex.json"
	if in.Format == "cyclonedx" {
		write, kind, extension = vex.WriteCycloneDX, sbom.CycloneDXType, ".vex.cdx.json"
	}
	var out bytes.Buffer
	if err := write(&out, export); err != nil {
		return nil, err
	}
	_, hex, _ := strings.Cut(img.Digest, ":")
	return &sbomDocument{ContentType: kind, Disposition: `attachment; filename="` + hex[:min(12, len(hex))] + extension + `"`, Body: out.Bytes()}, nil
}
