package vex

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// The errors of a Store.
var (
	// ErrNotFound says that there is no such document, or manifest.
	ErrNotFound = errors.New("not found")
	// ErrRaced says that a plan does not hold any more.
	ErrRaced = errors.New("assessments of the image changed meanwhile")
	// ErrTooMuch says that more is stated of an image than is looked at; its
	// assessments stay as they are.
	ErrTooMuch = errors.New("too many statements")
)

// Stored is a document that is kept, with where it is from.
type Stored struct {
	ID int64
	Document
	// Digest is that of the document's bytes.
	Digest string
	// Image is the image, or the index of images, that the document is about;
	// "" where its products say so alone.
	Image string
	// ManifestID and Manifest are of the referrer that holds it, in Repository
	// ("main/app"); zero where it was uploaded.
	ManifestID           int64
	Manifest, Repository string
	// BroughtBy pushed or uploaded it, CreatedAt.
	BroughtBy string
	CreatedAt time.Time
	// Error says why it cannot be read.
	Error string
	// StatementCount is kept where Statements are not.
	StatementCount int
}

// Followed is a statement of a stored document with what it came to.
type Followed struct {
	Position int
	Statement
	// Known says that some feed speaks of the vulnerability.
	Known    bool
	Outcomes []Outcome
	// OutcomeCount is of all; Outcomes may be the first ones.
	OutcomeCount int
}

// Referrer is a manifest with a subject.
type Referrer struct {
	ManifestID                                          int64
	Digest, ArtifactType, Subject, Repository, PushedBy string
	Content                                             []byte
}

// Store keeps documents and what they came to.
type Store interface {
	// AddVEXDocument stores a document, and says in the audit log who brought
	// it, unless it is there: the same bytes of the same manifest, or uploaded
	// for the same image. It returns the one that is there, and whether it is new.
	AddVEXDocument(ctx context.Context, d Stored) (Stored, bool, error)
	// VEXDocument returns ErrNotFound where there is none.
	VEXDocument(ctx context.Context, id int64) (Stored, error)
	// VEXDocuments lists at most limit documents with a smaller id, the newest
	// first; a zero id is no bound. Statements are not among it.
	VEXDocuments(ctx context.Context, before int64, limit int) ([]Stored, error)
	// VEXStatements lists at most limit statements of a document, from a
	// position on, each with at most outcomes outcomes.
	VEXStatements(ctx context.Context, id int64, from, limit, outcomes int) ([]Followed, error)
	// DeleteVEXDocument removes a document and ends its assessments, in the
	// name of by. It returns the images that it came to anything in.
	DeleteVEXDocument(ctx context.Context, id int64, by string) ([]string, error)
	// VEXOrphans lists the documents of referrers that are gone.
	VEXOrphans(ctx context.Context) ([]int64, error)

	// VEXReferrer returns ErrNotFound where there is no such manifest.
	VEXReferrer(ctx context.Context, manifestID int64) (Referrer, error)
	// VEXImages lists the stored images to which a document may matter, or any
	// document where id is 0, by digest.
	VEXImages(ctx context.Context, id int64) ([]string, error)
	// VEXSituation returns ErrNotFound where there is no such image, or ErrTooMuch.
	VEXSituation(ctx context.Context, image string) (Situation, error)
	// VEXType returns the name of the assessment type that statements become; ""
	// where there is none.
	VEXType(ctx context.Context) (string, error)
	// SettleVEX carries out a plan in one step, with entries in the audit log,
	// or returns ErrRaced. It reports whether any assessment changed.
	SettleVEX(ctx context.Context, p Plan, typ string) (bool, error)
}

// Blobs reads stored blobs.
type Blobs interface {
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
}

// Work is what is done in the background: a referrer is read, or a document or
// an image is looked at again; all documents where everything is zero.
type Work struct {
	Manifest int64  `json:"manifest,omitempty"`
	Document int64  `json:"document,omitempty"`
	Image    string `json:"image,omitempty"`
}

// Queue has Do called soon, and again where it fails.
type Queue interface {
	Later(ctx context.Context, work ...Work) error
}

// Options are the choices of a Service. The zero value is usable.
type Options struct {
	// Type is the assessment type; the one that the store names where "".
	Type   string
	Limits Limits
	// Changed is called after assessments changed.
	Changed func()
}

// Service keeps VEX documents and applies them.
type Service struct {
	store Store
	blobs Blobs
	queue Queue
	opts  Options
}

// New returns a service over the store.
func New(store Store, blobs Blobs, queue Queue, opts Options) *Service {
	opts.Limits = opts.Limits.orDefault()
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	return &Service{store: store, blobs: blobs, queue: queue, opts: opts}
}

// Do does a piece of work.
func (s *Service) Do(ctx context.Context, w Work) error {
	switch {
	case w.Manifest != 0:
		return s.ReadReferrer(ctx, w.Manifest)
	case w.Image != "":
		return s.ApplyImage(ctx, w.Image)
	case w.Document != 0:
		return s.apply(ctx, w.Document)
	}
	if err := s.Sweep(ctx); err != nil {
		return err
	}
	return s.apply(ctx, 0)
}

// Upload takes a document, which is about an image, or an index, where one is
// named. It returns an error that wraps ErrInvalid where it cannot be read.
func (s *Service) Upload(ctx context.Context, content []byte, image, by string) (Stored, error) {
	d, err := Read(bytes.NewReader(content), s.opts.Limits)
	if err != nil {
		return Stored{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	d.about(image)
	stored, _, err := s.store.AddVEXDocument(ctx, Stored{Document: d, Digest: digestOf(content), Image: image, BroughtBy: by})
	if err != nil {
		return Stored{}, err
	}
	return stored, s.queue.Later(ctx, Work{Document: stored.ID})
}

// ErrInvalid is returned for what is no document.
var ErrInvalid = errors.New("the document cannot be read")

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Document returns a document without its statements, or ErrNotFound.
func (s *Service) Document(ctx context.Context, id int64) (Stored, error) {
	return s.store.VEXDocument(ctx, id)
}

// Documents lists documents, the newest first.
func (s *Service) Documents(ctx context.Context, before int64, limit int) ([]Stored, error) {
	return s.store.VEXDocuments(ctx, before, limit)
}

// Statements lists statements of a document with what each came to, from a
// position on.
func (s *Service) Statements(ctx context.Context, id int64, from, limit int) ([]Followed, error) {
	const outcomes = 100 // of one statement; images with the same state follow each other
	return s.store.VEXStatements(ctx, id, from, limit, outcomes)
}

// Delete withdraws a document, or returns ErrNotFound. That of a referrer is read
// again when it is pushed again.
func (s *Service) Delete(ctx context.Context, id int64, by string) error {
	images, err := s.store.DeleteVEXDocument(ctx, id, by)
	if err != nil {
		return err
	}
	s.opts.Changed()
	// Another document may have its turn.
	work := make([]Work, len(images))
	for i, image := range images {
		work[i].Image = image
	}
	return s.queue.Later(ctx, work...)
}

// Sweep withdraws the documents whose referrers are gone.
func (s *Service) Sweep(ctx context.Context) error {
	orphans, err := s.store.VEXOrphans(ctx)
	if err != nil {
		return err
	}
	for _, id := range orphans {
		if err := s.Delete(ctx, id, system); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// system is the actor of what nobody asked for.
const system = "system"

// mediaTypes are what documents are attached as.
var mediaTypes = map[string]bool{
	"application/vnd.openvex+json":             true,
	"application/openvex+json":                 true,
	"application/csaf+json":                    true,
	"application/vnd.cyclonedx+json":           true,
	"application/vnd.in-toto+json":             true,
	"application/vnd.dsse.envelope.v1+json":    true,
	"application/vnd.dev.sigstore.bundle+json": true,
}

// MayHold reports whether VEX may be attached as this type of artifact or layer.
func MayHold(mediaType string) bool {
	mediaType, _, _ = strings.Cut(mediaType, ";")
	if strings.HasPrefix(mediaType, "application/vnd.dev.sigstore.bundle.v") {
		return true
	}
	return mediaTypes[strings.ToLower(strings.TrimSpace(mediaType))]
}

// ReadReferrer reads the documents of a referrer. What is no VEX is passed over;
// what is, but cannot be read, is kept with the reason.
func (s *Service) ReadReferrer(ctx context.Context, manifestID int64) error {
	r, err := s.store.VEXReferrer(ctx, manifestID)
	if errors.Is(err, ErrNotFound) {
		return nil // it was deleted
	}
	if err != nil || r.Subject == "" {
		return err
	}
	var manifest struct {
		Layers []struct {
			MediaType string `json:"mediaType"`
			Digest    string `json:"digest"`
		} `json:"layers"`
	}
	if err := json.Unmarshal(r.Content, &manifest); err != nil {
		return fmt.Errorf("manifest %s: %w", r.Digest, err)
	}
	var digests, typed []string
	for _, l := range manifest.Layers {
		digests = append(digests, l.Digest)
		if MayHold(l.MediaType) {
			typed = append(typed, l.Digest)
		}
	}
	switch {
	case len(typed) > 0:
		digests = typed
	case !MayHold(r.ArtifactType):
		return nil
	}
	const most = 64
	for _, digest := range digests[:min(len(digests), most)] {
		if err := s.readLayer(ctx, r, digest); err != nil {
			return fmt.Errorf("referrer %s: %w", r.Digest, err)
		}
	}
	return nil
}

func (s *Service) readLayer(ctx context.Context, r Referrer, digest string) error {
	blob, err := s.blobs.Open(ctx, digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	content, err := io.ReadAll(io.LimitReader(blob, s.opts.Limits.Bytes+1))
	if err != nil {
		return fmt.Errorf("blob %s: %w", digest, err)
	}
	d, err := Read(bytes.NewReader(content), s.opts.Limits)
	if errors.Is(err, ErrNotVEX) {
		return nil
	}
	stored := Stored{Document: d, Digest: digest, Image: r.Subject, ManifestID: r.ManifestID, Manifest: r.Digest, Repository: r.Repository, BroughtBy: r.PushedBy}
	if err != nil {
		stored.Error = clip(err.Error(), maxText)
	}
	d.about(r.Subject)
	stored, _, err = s.store.AddVEXDocument(ctx, stored)
	if err != nil {
		return err
	}
	return s.apply(ctx, stored.ID)
}

// apply looks at all images to which a document may matter.
func (s *Service) apply(ctx context.Context, id int64) error {
	images, err := s.store.VEXImages(ctx, id)
	if err != nil {
		return err
	}
	var left error
	for _, image := range images {
		err := s.ApplyImage(ctx, image)
		if errors.Is(err, ErrTooMuch) {
			left = err // the last of them is told; the other images have their turn
		} else if err != nil {
			return err
		}
	}
	return left
}

// ApplyImage brings an image's assessments in line with the documents.
func (s *Service) ApplyImage(ctx context.Context, image string) error {
	const tries = 5
	for try := 1; ; try++ {
		err := s.applyOnce(ctx, image)
		if errors.Is(err, ErrRaced) && try < tries {
			continue
		}
		if err != nil {
			return fmt.Errorf("VEX on image %s: %w", image, err)
		}
		return nil
	}
}

func (s *Service) applyOnce(ctx context.Context, image string) error {
	situation, err := s.store.VEXSituation(ctx, image)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil || !situation.Analysed {
		return err
	}
	typ := s.opts.Type
	if typ == "" {
		if typ, err = s.store.VEXType(ctx); err != nil || typ == "" {
			return err
		}
	}
	changed, err := s.store.SettleVEX(ctx, Decide(situation, typ), typ)
	if changed {
		s.opts.Changed()
	}
	return err
}
