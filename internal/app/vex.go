package app

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/vex"
)

// vexQueue queues work on VEX.
type vexQueue struct {
	queue *job.Queue
	now   func() time.Time
}

// Later never joins work that runs already: that may have looked before the change.
func (q vexQueue) Later(ctx context.Context, work ...vex.Work) error {
	requests := make([]job.Request, len(work))
	for i, w := range work {
		about := "all"
		switch {
		case w.Manifest != 0:
			about = "manifest " + strconv.FormatInt(w.Manifest, 10)
		case w.Image != "":
			about = "image " + w.Image
		case w.Document != 0:
			about = "document " + strconv.FormatInt(w.Document, 10)
		}
		requests[i] = job.Request{Kind: applyVEX, Key: fmt.Sprintf("%s, %d", about, q.now().UnixMicro()), Payload: w}
	}
	_, err := q.queue.EnqueueAll(ctx, requests)
	return err
}

// watchedStore is the store with those of its methods that VEX has to know of.
// What was done is done, so that their errors are only logged; the schedule
// makes up for what is missed.
type watchedStore struct {
	*store.Store
	vex   *vex.Service
	queue vexQueue
	log   *slog.Logger
	// judge has rules judge what is due.
	judge func(ctx context.Context)
	// trashDays is for how long what is deleted stays in the trash where its
	// registry does not say that.
	trashDays func(ctx context.Context) int
	// tell tells people of an image.
	tell func(ctx context.Context, what notify.Type, digest, by string, tags []string)
}

func (s watchedStore) later(ctx context.Context, work vex.Work) {
	if err := s.queue.Later(ctx, work); err != nil {
		s.log.ErrorContext(ctx, "VEX waits for its schedule", "error", err)
	}
}

// again has images looked at where there is any document.
func (s watchedStore) again(ctx context.Context, digests ...string) {
	any, err := s.AnyVEX(ctx)
	if err == nil && any {
		work := make([]vex.Work, len(digests))
		for i, d := range digests {
			work[i].Image = d
		}
		err = s.queue.Later(ctx, work...)
	}
	if err != nil {
		s.log.ErrorContext(ctx, "VEX waits for its schedule", "error", err)
	}
}

func (s watchedStore) sweep(ctx context.Context) {
	if err := s.vex.Sweep(ctx); err != nil {
		s.log.ErrorContext(ctx, "VEX waits for its schedule", "error", err)
	}
}

// PutManifest has the documents of a referrer read, and looks again at an image
// that comes to another place.
func (s watchedStore) PutManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tags []string) error {
	if err := s.Store.PutManifest(ctx, repositoryID, m, tags); err != nil {
		return err
	}
	if m.Subject == "" {
		s.tell(ctx, notify.ImagePushed, m.Digest, m.PushedBy, tags)
	}
	s.look(ctx, m)
	return nil
}

// look has the documents of a referrer read, and other manifests looked at again.
func (s watchedStore) look(ctx context.Context, m *registry.Manifest) {
	holds := false
	if m.Subject != "" && !m.IsIndex() {
		holds = vex.MayHold(m.ArtifactType)
		for _, r := range m.References {
			holds = holds || r.Kind == registry.KindLayer && vex.MayHold(r.MediaType)
		}
	}
	if holds {
		s.later(ctx, vex.Work{Manifest: m.ID})
		return
	}
	images := []string{m.Digest}
	for _, r := range m.References {
		if r.Kind == registry.KindManifest {
			images = append(images, r.Digest)
		}
	}
	s.again(ctx, images...)
}

// DeleteManifest withdraws the documents of a referrer at once.
func (s watchedStore) DeleteManifest(ctx context.Context, repositoryID int64, digest string, d registry.Deletion) ([]string, error) {
	d.Days = s.trashDays(ctx)
	tags, err := s.Store.DeleteManifest(ctx, repositoryID, digest, d)
	if err == nil {
		s.sweep(ctx)
	}
	return tags, err
}

// DeleteTag keeps the tag in the trash.
func (s watchedStore) DeleteTag(ctx context.Context, repositoryID int64, tag string, d registry.Deletion) error {
	d.Days = s.trashDays(ctx)
	return s.Store.DeleteTag(ctx, repositoryID, tag, d)
}

// DeleteRepository withdraws the documents of its referrers.
func (s watchedStore) DeleteRepository(ctx context.Context, registryName, name string, d registry.Deletion) error {
	d.Days = s.trashDays(ctx)
	err := s.Store.DeleteRepository(ctx, registryName, name, d)
	if err == nil {
		s.sweep(ctx)
	}
	return err
}

// Retain withdraws the documents of what goes.
func (s watchedStore) Retain(ctx context.Context, repositoryID int64, plan func(retention.Repository) []retention.Deletion, approved map[retention.Deletion]bool, why registry.Deletion) ([]retention.Deletion, error) {
	why.Days = s.trashDays(ctx)
	done, err := s.Store.Retain(ctx, repositoryID, plan, approved, why)
	if len(done) > 0 {
		s.sweep(ctx)
	}
	return done, err
}

// DeleteRegistry withdraws the documents of its referrers.
func (s watchedStore) DeleteRegistry(ctx context.Context, name string, force bool, by string) error {
	err := s.Store.DeleteRegistry(ctx, name, force, by)
	if err == nil {
		s.sweep(ctx)
	}
	return err
}

// UpdateRegistry looks at all documents where a registry honours them from now
// on, or does no longer.
func (s watchedStore) UpdateRegistry(ctx context.Context, name string, c registry.Change) (registry.Registry, error) {
	r, err := s.Store.UpdateRegistry(ctx, name, c)
	if err == nil && c.HonourVEX != nil {
		s.later(ctx, vex.Work{})
	}
	return r, err
}

// SettleImage looks at an image that has been analysed.
func (s watchedStore) SettleImage(ctx context.Context, digest string, state image.State, reason string, inventory int64) error {
	err := s.Store.SettleImage(ctx, digest, state, reason, inventory)
	if err == nil {
		s.again(ctx, digest)
		s.judge(ctx)
		if state == image.Done {
			s.tell(ctx, notify.ImageAnalysed, digest, "", nil)
		}
	}
	return err
}

// doVEX is the handler of jobs on VEX.
func (a *App) doVEX(ctx context.Context, task *job.Task) error {
	var work vex.Work
	if err := task.Decode(&work); err != nil {
		return err
	}
	if err := a.vex.Do(ctx, work); err != nil {
		return err
	}
	about, _, _ := strings.Cut(task.Key, ",")
	task.SetProgress("done: " + about)
	return nil
}
