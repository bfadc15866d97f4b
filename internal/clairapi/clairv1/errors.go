package clairv1

import (
	"context"
	"errors"
	"net/http"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/source/builtin"
)

// Messages of Clair 2.1.8 that clients compare or show.
const (
	messageNotFound       = "the resource cannot be found"
	messageUnknownParent  = "worker: parent layer is unknown, it must be processed first"
	messageNoLayer        = "could not find layer"
	messageNoDistribution = "worker: OS and/or package manager are not supported"
	messageCorrupt        = "tarutil: could not extract the archive"
	messageTooBig         = "tarutil: could not extract one or more files from the archive: file too big"
	messageTimeout        = "Clair failed to respond within the configured timeout window."
	messageNoEnvelope     = "failed to provide layer"
	messageNoName         = "could not process a layer which does not have a name"
	messageNoPath         = "could not process a layer which does not have a path"
	messageNoFormat       = "could not process a layer which does not have a format"
	messageNoLimit        = "must provide limit query parameter"
	messageBadPage        = "invalid page format: invalid or expired pagination token"
)

type errorEnvelope struct {
	Error errorBody `json:"Error"`
}

type errorBody struct {
	Message string `json:"Message"`
	Type    string `json:"Type,omitempty"`
	// Detail is ours: Clair's fixed messages do not say which thing failed, and why.
	Detail string `json:"Detail,omitempty"`
}

// badRequest is a request that cannot be served as it is.
type badRequest string

func (b badRequest) Error() string { return string(b) }

// explain maps an error to a status and what the client is told.
func explain(err error) (int, errorBody) {
	var bad badRequest
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest, errorBody{Message: bad.Error()}
	case is(clairapi.ErrUnknownParent):
		return http.StatusBadRequest, errorBody{Message: messageUnknownParent}
	case is(clairapi.ErrName), is(clairapi.ErrChainTooLong):
		return http.StatusBadRequest, errorBody{Message: "worker: " + err.Error()}
	case is(indexing.ErrDownload), is(indexing.ErrDigest):
		return http.StatusBadRequest, errorBody{Message: messageNoLayer, Detail: err.Error()}
	case is(layer.ErrLimit):
		return http.StatusUnprocessableEntity, errorBody{Message: messageTooBig, Detail: err.Error()}
	case is(layer.ErrCorrupt):
		return http.StatusUnprocessableEntity, errorBody{Message: messageCorrupt, Detail: err.Error()}
	case is(builtin.ErrNoDistribution):
		return http.StatusUnprocessableEntity, errorBody{Message: messageNoDistribution, Detail: err.Error()}
	case is(clairapi.ErrNotFound):
		return http.StatusNotFound, errorBody{Message: messageNotFound}
	case is(indexing.ErrBusy), is(indexing.ErrRate), is(indexing.ErrClosed):
		return http.StatusServiceUnavailable, errorBody{Message: err.Error() + "; try again later"}
	case is(indexing.ErrPending), is(context.DeadlineExceeded), is(context.Canceled):
		return http.StatusServiceUnavailable, errorBody{Message: messageTimeout, Type: "Timeout"}
	}
	return http.StatusInternalServerError, errorBody{Message: "internal error; the server's log says more"}
}
