package source

import (
	"context"
	"encoding/base64"
	"time"
)

// Extension is a kind of external source.
type Extension struct {
	// Name is for programs, Title for people.
	Name, Title, Description string
	// Open returns a scanner that speaks with the service. It returns a
	// *FieldError for a connection that can never work.
	Open func(Connection) (Scanner, error)
}

// Connection says how to reach a service.
type Connection struct {
	URL string
	// Authorization is the header of each request, "" for none.
	Authorization string
	// CA and SkipVerify are as in Source.
	CA         string
	SkipVerify bool
	// Timeout bounds one request.
	Timeout time.Duration
	// Pause waits between questions for an answer that is not ready; a timer
	// where nil.
	Pause func(ctx context.Context, d time.Duration) error
}

// Scanner is an external source as it is spoken with. Its errors are of type
// *Failure.
type Scanner interface {
	// Probe asks whether the service is what it should be and lets us in, and
	// returns what it says of itself.
	Probe(ctx context.Context) (string, error)
	// Scan asks about an image: it tells the layers, waits until the service has
	// fetched them, and reads what it found.
	Scan(ctx context.Context, job Job) (Report, error)
	// Close ends what is open.
	Close()
}

// Job is an image to be asked about.
type Job struct {
	// Digest is the image manifest's; Config its configuration's.
	Digest, MediaType, Config string
	// Repository is where the service can fetch it, REGISTRY/REPOSITORY.
	Repository string
	// Layers are those that are stored here, base first.
	Layers []Layer
	// BaseURL is where the service reaches this server, without a slash at its end.
	BaseURL string
	// Token returns a pull token for blobs and manifests of the repository.
	Token func(digests ...string) (string, error)
	// Handle is what the last report, or Keep, said.
	Handle string
	// Keep has a handle remembered, so that a scan that is cut off can go on.
	Keep func(ctx context.Context, handle string) error
}

// Layer is a layer of an image.
type Layer struct {
	Digest string
	// Chain identifies the layer with all that are below it.
	Chain string
}

// BlobURL is where the service fetches a blob.
func (j Job) BlobURL(digest string) string {
	return j.BaseURL + "/v2/" + j.Repository + "/blobs/" + digest
}

// Basic is an Authorization header with a user and a password.
func Basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// Wait is the Pause that waits for a timer.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
