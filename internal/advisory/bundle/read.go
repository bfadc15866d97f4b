package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

func bytesOf(b []byte) io.Reader { return bytes.NewReader(b) }

// Target is where advisories go.
type Target interface {
	// LastImport returns when the last bundle was made that was imported, zero
	// where none was.
	LastImport(ctx context.Context) (time.Time, error)
	// Import runs fn in one transaction: all of what it does is done, or nothing.
	// It notes the time at which the bundle was made.
	Import(ctx context.Context, created time.Time, fn func(feed.Store) error) error
}

// Options are the choices of an import; the zero value is usable.
type Options struct {
	// AllowOlder imports a bundle that is older than the last one.
	AllowOlder bool
	// Progress is told what is going on, where not nil.
	Progress func(message string)
}

// Result says what an import did.
type Result struct {
	Manifest
	// Changed and Removed count groups, and scores.
	Changed, Removed int
}

// Limits of what is read of a bundle, in bytes.
const (
	maxManifest = 1 << 20
	maxLine     = 64 << 20
	maxPlain    = 64 << 30
)

// Open verifies a bundle of a size in bytes: its signature by the key, and that it is whole. Nothing
// of its content is believed before that.
func Open(r io.ReaderAt, size int64, key ed25519.PublicKey) (*Bundle, error) {
	section := io.NewSectionReader(r, 0, size)
	archive := tar.NewReader(section)
	next := func(name string, most int64) (int64, error) {
		header, err := archive.Next()
		if err != nil {
			return 0, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
		}
		if header.Name != name || header.Typeflag != tar.TypeReg || header.Size > most {
			return 0, fmt.Errorf("%w: there is %q of %d bytes in place of %s", ErrDamaged, header.Name, header.Size, name)
		}
		return header.Size, nil
	}
	read := func(name string, most int64) ([]byte, error) {
		if _, err := next(name, most); err != nil {
			return nil, err
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, name, err)
		}
		return text, nil
	}
	text, err := read(manifestName, maxManifest)
	if err != nil {
		return nil, err
	}
	signature, err := read(signatureName, ed25519.SignatureSize)
	if err != nil {
		return nil, err
	}
	if !ed25519.Verify(key, text, signature) {
		return nil, ErrUntrusted
	}
	b := &Bundle{}
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrDamaged, manifestName, err)
	}
	if b.Format > format {
		return nil, fmt.Errorf("%w: %d; this program reads up to %d", ErrFormat, b.Format, format)
	}
	length, err := next(advisoriesName, size)
	if err != nil {
		return nil, err
	}
	at, err := section.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	b.advisories = io.NewSectionReader(r, at, length)
	hash := sha256.New()
	if n, err := io.Copy(hash, b.reader()); err != nil || n != b.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d (%v)", ErrDamaged, advisoriesName, n, b.Size, err)
	}
	if got := "sha256:" + hex.EncodeToString(hash.Sum(nil)); got != b.Digest {
		return nil, fmt.Errorf("%w: %s is %s, want %s", ErrDamaged, advisoriesName, got, b.Digest)
	}
	return b, nil
}

// Bundle is one that was verified.
type Bundle struct {
	Manifest
	advisories *io.SectionReader
}

func (b *Bundle) reader() io.Reader {
	return io.NewSectionReader(b.advisories, 0, b.advisories.Size())
}

// Import stores what the bundle holds: all of it or, where anything fails, none.
// Documents and feeds that the bundle does not have stay as they are.
func (b *Bundle) Import(ctx context.Context, target Target, decide match.Decide, opts Options) (Result, error) {
	result := Result{Manifest: b.Manifest}
	last, err := target.LastImport(ctx)
	if err != nil {
		return result, err
	}
	if b.Created.Before(last) && !opts.AllowOlder {
		return result, fmt.Errorf("%w: it was made at %s, the last one at %s", ErrOlder, b.Created.Format(time.RFC3339), last.Format(time.RFC3339))
	}
	err = target.Import(ctx, b.Created, func(store feed.Store) error {
		i := importer{store: store, decide: decide, opts: opts, result: &result}
		return i.run(ctx, b.reader())
	})
	if err != nil {
		return Result{Manifest: b.Manifest}, fmt.Errorf("import: %w; nothing was changed", err)
	}
	return result, nil
}

// importer stores the lines of a bundle, part by part.
type importer struct {
	store  feed.Store
	decide match.Decide
	opts   Options
	result *Result

	feed   string
	part   *feed.PartState
	stored map[string]feed.Fingerprint
	batch  []feed.Entry
	weight int
	scores []feed.Score
	// products are those of the part, nil where it has none.
	products match.Products
	touched  []string // feeds
}

func (i *importer) run(ctx context.Context, r io.Reader) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return err
	}
	defer z.Close()
	lines := json.NewDecoder(&meter{r: io.LimitReader(z, maxPlain)})
	for {
		var l line
		err := lines.Decode(&l)
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		switch {
		case l.Part != nil && l.Feed != "":
			err = i.begin(ctx, l.Feed, l.Part)
		case l.Group != nil && i.part != nil && !i.part.OfScores():
			err = i.put(ctx, l.Group)
		case len(l.Scores) > 0 && i.part != nil && i.part.OfScores():
			if i.scores = append(i.scores, l.Scores...); len(i.scores) > feed.MaxScores {
				err = fmt.Errorf("%w: there are more than %d scores", ErrDamaged, feed.MaxScores)
			}
		case len(l.Products) > 0 && i.feed == redHatRepositories && i.part != nil:
			err = i.know(l.Products)
		default:
			err = fmt.Errorf("%w: a line is neither a document nor a group of one", ErrDamaged)
		}
		if err != nil {
			return err
		}
	}
	if err := i.end(ctx); err != nil {
		return err
	}
	for _, count := range i.result.Feeds {
		if !slices.Contains(i.touched, count.Name) || count.LastSuccess.IsZero() {
			continue
		}
		if err := i.store.BeginFeedUpdate(ctx, count.Name, count.LastSuccess); err != nil {
			return err
		}
		if err := i.store.EndFeedUpdate(ctx, count.Name, count.LastSuccess, true, ""); err != nil {
			return err
		}
	}
	return nil
}

func (i *importer) begin(ctx context.Context, name string, part *feed.PartState) (err error) {
	if err := i.end(ctx); err != nil {
		return err
	}
	i.feed, i.part = name, part
	if i.opts.Progress != nil {
		i.opts.Progress(name + ": " + part.Part)
	}
	if !slices.Contains(i.touched, name) {
		i.touched = append(i.touched, name)
	}
	if part.OfScores() {
		return nil
	}
	i.stored, err = i.store.Fingerprints(ctx, name, part.Part)
	return err
}

// put stores a group that is not stored as it is.
func (i *importer) put(ctx context.Context, g *group) error {
	if len(g.Fingerprint) != len(feed.Fingerprint{}) {
		return fmt.Errorf("%w: group %q has no fingerprint", ErrDamaged, g.Name)
	}
	print := feed.Fingerprint(g.Fingerprint)
	old, known := i.stored[g.Name]
	delete(i.stored, g.Name)
	if known && old == print {
		return nil
	}
	i.batch = append(i.batch, feed.Entry{Fingerprint: print, Group: advisory.Group{
		Part: i.part.Part, Name: g.Name, Advisories: g.Advisories, Details: g.Details,
	}})
	const most, heavy = 500, 4000
	if i.weight += len(g.Advisories); len(i.batch) >= most || i.weight >= heavy {
		return i.flush(ctx)
	}
	return nil
}

func (i *importer) flush(ctx context.Context) error {
	if len(i.batch) == 0 {
		return nil
	}
	if err := i.store.ReplaceAdvisories(ctx, i.feed, i.part.Part, i.batch, nil, i.decide); err != nil {
		return err
	}
	i.result.Changed += len(i.batch)
	i.batch, i.weight = i.batch[:0], 0
	return nil
}

// end finishes a part: what the bundle does not have of it is gone.
func (i *importer) end(ctx context.Context) error {
	if i.part == nil {
		return nil
	}
	if i.part.OfScores() {
		return i.endScores(ctx)
	}
	if err := i.flush(ctx); err != nil {
		return err
	}
	var gone []string
	for name := range i.stored {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	const most = 500
	for names := range slices.Chunk(gone, most) {
		if err := i.store.ReplaceAdvisories(ctx, i.feed, i.part.Part, nil, names, i.decide); err != nil {
			return err
		}
	}
	i.result.Removed += len(gone)
	if i.products != nil {
		changed, err := i.store.ReplaceProducts(ctx, i.products, i.decide)
		if err != nil {
			return err
		}
		i.result.Changed += changed
	}
	err := i.store.SaveFeedPart(ctx, i.feed, *i.part)
	i.part, i.products = nil, nil
	return err
}

// know takes products of repositories.
func (i *importer) know(products match.Products) error {
	const most = 200_000
	if len(i.products)+len(products) > most {
		return fmt.Errorf("%w: there are more than %d repositories", ErrDamaged, most)
	}
	if i.products == nil {
		i.products = make(match.Products)
	}
	maps.Copy(i.products, products)
	return nil
}

// endScores finishes a part of scores.
func (i *importer) endScores(ctx context.Context) error {
	slices.SortFunc(i.scores, func(a, b feed.Score) int { return strings.Compare(a.CVE, b.CVE) })
	i.scores = slices.CompactFunc(i.scores, func(a, b feed.Score) bool { return a.CVE == b.CVE })
	changed, removed, err := i.store.ReplaceScores(ctx, i.scores)
	if err != nil {
		return err
	}
	i.result.Changed += changed
	i.result.Removed += removed
	err = i.store.SaveFeedPart(ctx, i.feed, *i.part)
	i.part, i.scores = nil, nil
	return err
}

// meter ends where a line is too long: json.Decoder keeps a value whole.
type meter struct {
	r    io.Reader
	line int64
}

var errLine = errors.New("a line is too long")

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if end := bytes.LastIndexByte(p[:n], '\n'); end >= 0 {
		m.line = int64(n - end - 1)
	} else if m.line += int64(n); m.line > maxLine {
		return 0, errLine
	}
	return n, err
}
