package api

import (
	"context"
	"net/http"
	"time"
)

// System knows how the server is.
type System interface {
	Facts(ctx context.Context) (Facts, error)
}

// Facts are how the server is, and what it stands on.
type Facts struct {
	// FreeBytes is nil where that is not known.
	FreeBytes     *int64
	DatabaseBytes int64
	Engine        string
	Replica       string
	StartedAt     time.Time
	// Alarms are lines of what is wrong though the server serves.
	Alarms []string
}

// SystemFacts say how the server is, and what it stands on.
type SystemFacts struct {
	Version   string         `json:"version"`
	Replica   string         `json:"replica" doc:"The name of the process that answers."`
	StartedAt time.Time      `json:"started_at" doc:"When this process started."`
	Database  SystemDatabase `json:"database"`
	Storage   SystemStorage  `json:"storage"`
	Alarms    []string       `json:"alarms" nullable:"false" doc:"What is wrong though the server serves, a line each; as of /readyz."`
}

// SystemDatabase is where all but blobs is stored.
type SystemDatabase struct {
	Engine string `json:"engine" enum:"sqlite,postgres"`
	Bytes  int64  `json:"bytes" doc:"What it takes on its disk."`
}

// SystemStorage is where blobs are stored.
type SystemStorage struct {
	FreeBytes *int64 `json:"free_bytes" doc:"What can still be stored; null where that is not known."`
}

func (a *API) system() {
	register(a, operation{id: "get-system", method: http.MethodGet, path: "/system", tag: "stats",
		summary: "Show how the server is", administrators: true}, a.showSystem)
}

func (a *API) showSystem(ctx context.Context, _ *struct{}) (*one[SystemFacts], error) {
	f, err := a.System.Facts(ctx)
	if err != nil {
		return nil, err
	}
	return &one[SystemFacts]{SystemFacts{
		Version: a.version, Replica: f.Replica, StartedAt: f.StartedAt.UTC(), Alarms: append([]string{}, f.Alarms...),
		Database: SystemDatabase{Engine: f.Engine, Bytes: f.DatabaseBytes}, Storage: SystemStorage{FreeBytes: f.FreeBytes},
	}}, nil
}
