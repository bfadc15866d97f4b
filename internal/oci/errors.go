package oci

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/upstream"
)

// Error codes of the distribution specification, "Error Codes".
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeUploadInvalid       = "BLOB_UPLOAD_INVALID"
	codeUploadUnknown       = "BLOB_UPLOAD_UNKNOWN"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codeSizeInvalid         = "SIZE_INVALID"
	codeUnauthorized        = "UNAUTHORIZED"
	codeDenied              = "DENIED"
	codeUnsupported         = "UNSUPPORTED"
	codeTooManyRequests     = "TOOMANYREQUESTS"
	codeUnknown             = "UNKNOWN"
	codePage                = "PAGINATION_NUMBER_INVALID"
)

// failure is an answer that is an error.
type failure struct {
	status        int
	code, message string
	detail        any
}

func (f *failure) Error() string { return f.message }

func fault(status int, code, message string) *failure {
	return &failure{status: status, code: code, message: message}
}

// errGone is a client that went while it was answered.
var errGone = errors.New("the client has gone")

// gone is what becomes of an error of writing the answer.
func gone(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(errGone, err)
}

// refuse writes an error. What is not the client's fault is logged and not shown.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errGone) {
		h.opts.Logger.DebugContext(r.Context(), "request was given up", "path", r.URL.Path, "error", err)
		return
	}
	// A client that seems to have gone is answered, too: it may have closed
	// only its sending side, and no answer would be taken for a success.
	f := h.failure(r.Context(), w, err)
	if r.Context().Err() != nil {
		h.opts.Logger.DebugContext(r.Context(), "request was given up", "path", r.URL.Path, "error", err)
	} else if f.status >= 500 {
		h.opts.Logger.ErrorContext(r.Context(), "registry request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, marshalErr := json.Marshal(map[string][]one{"errors": {{f.code, f.message, f.detail}}})
	if marshalErr != nil {
		h.opts.Logger.ErrorContext(r.Context(), "error cannot be written", "error", marshalErr)
		body = []byte(`{"errors":[{"code":"UNKNOWN","message":"internal error"}]}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// failure is the one mapping of errors to answers.
func (h *Handler) failure(ctx context.Context, w http.ResponseWriter, err error) *failure {
	var (
		f         *failure
		denied    *auth.Denied
		blocked   *policy.BlockedError
		digest    *blob.DigestError
		offset    *blob.OffsetError
		lack      *registry.MissingError
		inUse     *registry.InUseError
		immutable *registry.ImmutableError
		follows   *registry.FollowsError
		full      *registry.QuotaError
		tooLarge  *http.MaxBytesError
		unread    *bodyError

		upstreamFailed *upstream.Failure
		malformed      = errors.Is(err, blob.ErrDigestMalformed)
	)
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &denied):
		if denied.Challenge != "" {
			w.Header().Set("WWW-Authenticate", denied.Challenge)
		}
		code := map[int]string{http.StatusUnauthorized: codeUnauthorized, http.StatusTooManyRequests: codeTooManyRequests}[denied.Status]
		if code == "" {
			code = codeDenied
		}
		return fault(denied.Status, code, denied.Reason)
	case errors.As(err, &blocked):
		return h.blocked(ctx, w, blocked)
	case errors.As(err, &upstreamFailed):
		return fault(http.StatusBadGateway, codeUnknown, upstreamFailed.Error())
	case errors.Is(err, upstream.ErrUnknown):
		return fault(http.StatusNotFound, codeManifestUnknown, "neither the repository nor its upstream has that")
	case errors.As(err, &digest), malformed:
		return fault(http.StatusBadRequest, codeDigestInvalid, err.Error())
	case errors.As(err, &offset):
		return fault(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, offset.Error())
	case errors.As(err, &lack):
		f := fault(http.StatusBadRequest, codeManifestBlobUnknown, lack.Error())
		missing := make([]string, len(lack.References))
		for i, r := range lack.References {
			missing[i] = r.Digest
		}
		f.detail = map[string]any{"digests": missing}
		return f
	case errors.As(err, &inUse):
		return fault(http.StatusConflict, codeDenied, inUse.Error())
	case errors.As(err, &immutable):
		return fault(http.StatusConflict, codeDenied, immutable.Error())
	case errors.As(err, &follows):
		return fault(http.StatusConflict, codeDenied, follows.Error())
	case errors.As(err, &full):
		f := fault(http.StatusForbidden, codeDenied, full.Error())
		f.detail = map[string]int64{"quota": full.Quota, "used": full.Used, "asked": full.Asked}
		return f
	case errors.As(err, &tooLarge):
		return fault(http.StatusRequestEntityTooLarge, codeSizeInvalid, "the body is too large")
	case errors.As(err, &unread) && errors.Is(err, os.ErrDeadlineExceeded):
		return fault(http.StatusRequestTimeout, codeSizeInvalid, "the body came too slowly")
	case errors.As(err, &unread):
		return fault(http.StatusBadRequest, codeSizeInvalid, "the body ended early or is malformed")
	case errors.Is(err, registry.ErrManifestInvalid):
		return fault(http.StatusBadRequest, codeManifestInvalid, err.Error())
	case errors.Is(err, registry.ErrRegistryUnknown):
		return fault(http.StatusNotFound, codeNameUnknown, "there is no such registry; an administrator creates it with POST /api/v1/registries")
	case errors.Is(err, registry.ErrRepositoryUnknown):
		return fault(http.StatusNotFound, codeNameUnknown, "there is no such repository")
	case errors.Is(err, registry.ErrManifestUnknown):
		return fault(http.StatusNotFound, codeManifestUnknown, "the repository has no such manifest")
	case errors.Is(err, registry.ErrBlobUnknown), errors.Is(err, blob.ErrUnknown):
		return fault(http.StatusNotFound, codeBlobUnknown, "the repository has no such blob")
	case errors.Is(err, registry.ErrUploadUnknown), errors.Is(err, blob.ErrUploadUnknown):
		return fault(http.StatusNotFound, codeUploadUnknown, "the repository has no such upload")
	case errors.Is(err, blob.ErrFull):
		return fault(http.StatusInsufficientStorage, codeUnknown, "the storage is full")
	}
	return fault(http.StatusInternalServerError, codeUnknown, "internal error")
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}
