package redhat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// The rules of a crawl.
const (
	// reload is how many changes make a newer archive cheaper.
	reload = 5000
	// ahead is how many documents are fetched at once.
	ahead = 4
	// stride is after how many documents the progress is stored.
	stride = 200
	// maxRetry bounds the documents that are tried again.
	maxRetry = 200
	// patience is how many documents in a row may not be reachable.
	patience = 3
)

// crawl is one session with how far it is.
type crawl struct {
	*feed.Session
	feed Feed
	progress
	unreachable int
	read        int // documents of the archive
}

// Crawl reads the archive the first time, and later what changed and what is gone.
func (f Feed) Crawl(ctx context.Context, s *feed.Session) error {
	c := &crawl{Session: s, feed: f}
	if s.Cursor() != "" {
		if err := json.Unmarshal([]byte(s.Cursor()), &c.progress); err != nil {
			return fmt.Errorf("the cursor %.100q: %w", s.Cursor(), err)
		}
	}
	if c.Since.IsZero() {
		a, err := c.latest(ctx)
		if err == nil {
			err = c.load(ctx, a)
		}
		if err != nil && !errors.Is(err, feed.ErrNotPublished) { // without one, the list of changes names all
			return err
		}
	}
	return c.update(ctx)
}

// load reads an archive.
func (c *crawl) load(ctx context.Context, a archive) (err error) {
	c.Tell("%s", a.name)
	doc, err := c.Fetch(ctx, base+a.name, feed.Validators{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, doc.Close()) }()
	var skipped feed.Skipped
	err = c.Whole(ctx, func() error {
		return readArchive(ctx, doc.Reader(), &skipped, func(path string, r io.Reader) error {
			if c.read++; c.read%1000 == 0 {
				c.Tell("%s: %d documents", a.name, c.read)
			}
			return c.put(ctx, path, r)
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", doc.Location, err)
	}
	c.LeftOut(skipped)
	c.Since, c.Recent, c.Archive = a.made.Add(-margin), nil, a.name
	c.Changes, c.Deletions = feed.Validators{}, feed.Validators{}
	return c.save(ctx)
}

// put reads a document and puts what it states. One that cannot be read is left
// out, and what is stored of it stays.
func (c *crawl) put(ctx context.Context, path string, r io.Reader) error {
	content := &limited{r: r, left: maxDocument}
	groups, parsed, err := parse(content)
	switch {
	case content.err != nil && !errors.Is(content.err, errTooMuch):
		return fmt.Errorf("%s: %w", path, content.err) // of the archive, not of the document
	case err == nil && (len(groups) != 1 || groups[0].Name != group(path)):
		err = fmt.Errorf("it is the document of %s", groups[0].Name)
	}
	if err != nil {
		c.fail(path, err)
		return nil
	}
	c.LeftOut(parsed.Skipped)
	c.Covers(parsed.Ecosystems...)
	c.Retry = slices.DeleteFunc(c.Retry, func(other string) bool { return other == path })
	return c.Put(ctx, groups[0])
}

// fail leaves a document out for now.
func (c *crawl) fail(path string, err error) {
	c.Skip(group(path), err.Error())
	c.Keep(group(path))
	if !slices.Contains(c.Retry, path) && len(c.Retry) < maxRetry {
		c.Retry = append(c.Retry, path)
	}
}

// update reads what changed since, and takes away what is gone.
func (c *crawl) update(ctx context.Context) error {
	deletions, deleted, err := c.listing(ctx, "deletions.csv", c.Deletions)
	if err != nil {
		return err
	}
	known := c.Changes
	if len(deletions) > 0 { // it takes both to know what is gone
		known = feed.Validators{}
	}
	changes, changed, err := c.listing(ctx, "changes.csv", known)
	if err != nil {
		return err
	}
	newer := c.newer(changes)
	if len(newer) > reload {
		a, err := c.latest(ctx)
		if err == nil && a.name != c.Archive && a.made.After(c.Since) {
			if err = c.load(ctx, a); err == nil {
				newer = c.newer(changes)
			}
		}
		if err != nil && !errors.Is(err, feed.ErrNotPublished) {
			return err
		}
	}
	if err := c.again(ctx, newer); err != nil {
		return err
	}
	if err := c.follow(ctx, newer, changes); err != nil {
		return err
	}
	if err := c.remove(ctx, deletions, changes); err != nil {
		return err
	}
	c.Changes, c.Deletions = changed, deleted
	return c.save(ctx)
}

// listing fetches a list; it is empty where it did not change, or where there is
// nothing in it.
func (c *crawl) listing(ctx context.Context, name string, known feed.Validators) (list []entry, now feed.Validators, err error) {
	doc, err := c.Fetch(ctx, base+name, known)
	switch {
	case errors.Is(err, feed.ErrNotModified):
		return nil, known, nil
	case name == "deletions.csv" && (errors.Is(err, feed.ErrEmpty) || errors.Is(err, feed.ErrNotPublished)):
		return nil, feed.Validators{}, nil
	case err != nil:
		return nil, now, err
	}
	defer func() { err = errors.Join(err, doc.Close()) }()
	list, skipped, err := parseListing(doc.Reader(), c.Now().Add(margin))
	if err != nil {
		return nil, now, fmt.Errorf("%s: %w", doc.Location, err)
	}
	c.LeftOut(skipped)
	return list, doc.Validators, nil
}

// again tries those documents that could not be read before and did not change.
func (c *crawl) again(ctx context.Context, newer []entry) error {
	var list []entry
	for _, path := range c.Retry {
		if !slices.ContainsFunc(newer, func(e entry) bool { return e.path == path }) {
			list = append(list, entry{path: path, at: c.Since})
		}
	}
	return c.fetchAll(ctx, list, func(int) error { return nil })
}

// follow reads the changed documents, the oldest change first.
func (c *crawl) follow(ctx context.Context, list, changes []entry) error {
	done := c.Recent.set()
	return c.fetchAll(ctx, list, func(n int) error {
		done[mark(list[n])] = true
		if last := n+1 == len(list); !last && (n+1)%stride != 0 {
			return nil
		}
		c.Tell("%d of %d changed documents", n+1, len(list))
		c.advance(changes, done)
		return c.save(ctx)
	})
}

// remove takes away what is gone: what is listed as deleted, unless it changed
// later than that.
func (c *crawl) remove(ctx context.Context, deletions, changes []entry) error {
	gone := make(map[string]time.Time, len(deletions))
	for _, e := range deletions {
		gone[e.path] = e.at
	}
	for _, e := range changes {
		if at, deleted := gone[e.path]; deleted && e.at.After(at) {
			delete(gone, e.path)
		}
	}
	var names []string
	for path := range gone {
		names = append(names, group(path))
		c.Retry = slices.DeleteFunc(c.Retry, func(other string) bool { return other == path })
	}
	slices.Sort(names)
	return c.Remove(ctx, names...)
}

// save stores the progress, and all that it stands for before it.
func (c *crawl) save(ctx context.Context) error {
	text, err := json.Marshal(c.progress)
	if err != nil {
		return err
	}
	return c.SetCursor(ctx, string(text))
}

// fetched is a document on its way.
type fetched struct {
	doc *feed.Document
	err error
}

// fetchAll fetches documents, some ahead, and puts them one after the other;
// done is told the place of each.
func (c *crawl) fetchAll(ctx context.Context, list []entry, done func(n int) error) (err error) {
	inner, cancel := context.WithCancel(ctx)
	queue := make(chan chan fetched, ahead)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		defer close(queue)
		for _, e := range list {
			result := make(chan fetched, 1)
			select {
			case queue <- result:
			case <-inner.Done():
				return
			}
			go func() {
				doc, err := c.Fetch(inner, base+e.path, feed.Validators{})
				result <- fetched{doc, err}
			}()
		}
	}()
	defer func() {
		cancel()
		for result := range queue { // what was fetched ahead for nothing
			if f := <-result; f.doc != nil {
				err = errors.Join(err, f.doc.Close())
			}
		}
		<-stopped
	}()
	for n, e := range list {
		result, ok := <-queue
		if !ok {
			return context.Cause(ctx)
		}
		if err := c.take(ctx, e.path, <-result); err != nil {
			return err
		}
		if err := done(n); err != nil {
			return err
		}
	}
	return nil
}

// take puts a fetched document, or notes why it could not be fetched.
func (c *crawl) take(ctx context.Context, path string, f fetched) (err error) {
	if f.err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(f.err, feed.ErrUnreachable) {
			c.unreachable = 0
		} else if c.unreachable++; c.unreachable == patience {
			return fmt.Errorf("%d documents one after the other: %w", patience, f.err)
		}
		c.fail(path, f.err)
		return nil
	}
	c.unreachable = 0
	defer func() { err = errors.Join(err, f.doc.Close()) }()
	return c.put(ctx, path, f.doc.Reader())
}
