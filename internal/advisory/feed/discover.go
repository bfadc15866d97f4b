package feed

import (
	"context"
	"fmt"
)

// Discoverer is a feed whose documents are named by other documents.
type Discoverer interface {
	Feed
	// Discover lists the documents, in place of Parts. It gets what names them
	// through fetch, and closes that. What it lists is updated, with and without
	// an error, which is the feed's; what is stored of other parts stays.
	//
	// A part of which upstream says that it is not published may be listed with
	// the URL of what should have named it: so it is told to be absent.
	Discover(ctx context.Context, fetch func(ctx context.Context, url string) (*Document, error)) ([]Part, error)
}

// parts are the documents to begin with.
func (r *run) parts(ctx context.Context) ([]Part, error) {
	d, ok := r.feed.(Discoverer)
	if !ok {
		return r.feed.Parts(), nil
	}
	r.tell("%s: looking for documents", r.feed.Name())
	parts, err := d.Discover(ctx, func(ctx context.Context, url string) (*Document, error) {
		return r.fetcher.Fetch(ctx, url, Validators{})
	})
	if err != nil {
		return parts, fmt.Errorf("looking for documents: %w", err)
	}
	return parts, nil
}
