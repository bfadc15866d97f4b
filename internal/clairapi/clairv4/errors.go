package clairv4

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/layer"
)

type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// failedRequest is an error whose status and words are settled.
type failedRequest struct {
	status  int
	message string
}

func (f failedRequest) Error() string { return f.message }

func failed(status int, format string, args ...any) error {
	return failedRequest{status, fmt.Sprintf(format, args...)}
}

func errorCode(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "bad-request"
	case http.StatusMethodNotAllowed:
		return "method-not-allowed"
	case http.StatusNotFound:
		return "not-found"
	case http.StatusTooManyRequests:
		return "too-many-requests"
	}
	return "internal-error"
}

// explain maps an error to a status and what the client is told. Quay sends
// again what failed with another status than 400.
func explain(err error) (status int, message string) {
	var known failedRequest
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case errors.As(err, &known):
		return known.status, known.message
	case is(layer.ErrCorrupt):
		return http.StatusBadRequest, "failed to start scan: " + err.Error()
	case is(clairapi.ErrNotFound):
		return http.StatusNotFound, "not found"
	case is(indexing.ErrBusy), is(indexing.ErrRate):
		return http.StatusTooManyRequests, err.Error()
	case is(indexing.ErrClosed), is(indexing.ErrPending), is(context.DeadlineExceeded), is(context.Canceled):
		return http.StatusServiceUnavailable, "not done yet; try again later"
	}
	return http.StatusInternalServerError, "internal error; the server's log says more"
}
