package api

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/auth/oidc"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/promote"
	"github.com/pratique/pratique/internal/setting"
	"github.com/pratique/pratique/internal/store"
)

// problem maps what went wrong to an answer (RFC 9457). This is the only such
// mapping: what it does not know is logged, and the client learns a reference.
func (a *API) problem(ctx context.Context, op huma.Operation, err error) error {
	var status huma.StatusError
	var field *assess.FieldError
	var fields assess.FieldErrors
	var credential *auth.FieldError
	var provider *oidc.FieldError
	var value *setting.InvalidError
	var receiver *notify.FieldError
	var asked *job.FieldError
	var full *registry.QuotaError
	var fixed *registry.ImmutableError
	var follows *registry.FollowsError
	var blocked *policy.BlockedError
	switch {
	case errors.As(err, &status):
		return err
	case errors.Is(err, errHidden):
		return huma.Error404NotFound(strings.TrimSuffix(err.Error(), ": "+errHidden.Error()))
	case errors.Is(err, errForbidden), errors.Is(err, auth.ErrOwnAlone), errors.Is(err, auth.ErrOutlasts):
		return huma.Error403Forbidden(err.Error())
	case errors.Is(err, auth.ErrNoGrantee):
		return invalid("body.to", auth.ErrNoGrantee.Error())
	case errors.Is(err, auth.ErrRegistry):
		return invalid("body.registry", err.Error())
	case connectorProblem(err) != nil:
		return connectorProblem(err)
	case sourceProblem(err) != nil:
		return sourceProblem(err)
	case errors.As(err, &value):
		return invalid("body."+value.Name, value.Reason)
	case errors.As(err, &field):
		return invalid("body."+field.Field, field.Reason)
	case errors.As(err, &fields):
		return invalidAll(fields)
	case errors.As(err, &credential):
		return invalid("body."+credential.Field, credential.Reason)
	case errors.As(err, &provider):
		return invalid("body."+provider.Field, provider.Reason)
	case errors.As(err, &receiver):
		return invalid("body."+receiver.Field, receiver.Reason)
	case errors.As(err, &asked):
		return invalid("body."+asked.Field, asked.Reason)
	case errors.Is(err, job.ErrStale), errors.Is(err, notify.ErrChanged), errors.Is(err, setting.ErrChanged), errors.Is(err, auth.ErrChanged), errors.Is(err, registry.ErrChanged):
		return huma.Error412PreconditionFailed(err.Error() + ": read it again, and change what you then see")
	case errors.Is(err, job.ErrFinished), errors.Is(err, notify.ErrExists):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, auth.ErrNotFound), errors.Is(err, notify.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, auth.ErrExists), errors.Is(err, auth.ErrLastAdministrator):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, setting.ErrNotFound), errors.Is(err, store.ErrNotFound), errors.Is(err, assess.ErrNotFound), errors.Is(err, job.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, setting.ErrFixed), errors.Is(err, store.ErrConflict), errors.Is(err, assess.ErrExists), errors.Is(err, assess.ErrEnded), errors.Is(err, assess.ErrInUse):
		return huma.Error409Conflict(err.Error())
	case errors.As(err, &full), errors.As(err, &fixed), errors.As(err, &follows):
		return huma.Error409Conflict(err.Error())
	case errors.As(err, &blocked):
		reasons := make([]error, len(blocked.Reasons))
		for i, r := range blocked.Reasons {
			reasons[i] = &huma.ErrorDetail{Location: "body.to", Message: r.Message}
		}
		return huma.Error403Forbidden("the policy of the registry "+blocked.Registry+" keeps it out", reasons...)
	case errors.Is(err, promote.ErrNowhere), errors.Is(err, promote.ErrTooMany):
		return invalid("body.from", err.Error())
	case errors.Is(err, assess.ErrChanged):
		return huma.Error412PreconditionFailed(err.Error())
	case errors.Is(err, policy.ErrNotFound):
		return huma.Error404NotFound(err.Error())
	case errors.Is(err, policy.ErrExists), errors.Is(err, policy.ErrEnded):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, policy.ErrStale):
		return huma.Error412PreconditionFailed("validation failed", &huma.ErrorDetail{Location: "header.If-Match", Message: err.Error() + "; read it again"})
	case errors.Is(err, job.ErrInvalid):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return huma.Error503ServiceUnavailable("the request took too long or was given up")
	}
	reference := strings.ToLower(rand.Text()[:12])
	a.log.ErrorContext(ctx, "request failed", "method", op.Method, "path", op.Path, "reference", reference, "error", err)
	return huma.Error500InternalServerError("something failed inside; the server's log has it under reference " + reference)
}

// invalidAll is a 422 that names each value, the first thousand.
func invalidAll(fields assess.FieldErrors) error {
	const most = 1000
	details := make([]error, 0, min(len(fields), most+1))
	for i, f := range fields {
		if i == most {
			details = append(details, &huma.ErrorDetail{Location: "body", Message: fmt.Sprintf("%d more are left out", len(fields)-most)})
			break
		}
		details = append(details, &huma.ErrorDetail{Location: "body." + f.Field, Message: f.Reason})
	}
	return huma.Error422UnprocessableEntity("validation failed", details...)
}

// atQuery makes the field that is wrong one of the query.
func atQuery(err error) error {
	if field := (*assess.FieldError)(nil); errors.As(err, &field) {
		return invalid("query."+field.Field, field.Reason)
	}
	return err
}

// notFound is a 404 that names what there is none of.
func notFound(format string, args ...any) error {
	return huma.Error404NotFound(fmt.Sprintf(format, args...) + ": not found")
}

// withoutValues drops the values that validation would echo: one may be a
// password.
func withoutValues(_ huma.Context, _ string, v any) (any, error) {
	if model, ok := v.(*huma.ErrorModel); ok {
		for _, detail := range model.Errors {
			if detail != nil {
				detail.Value = nil
			}
		}
	}
	return v, nil
}

// writeProblem answers outside of an operation.
func (a *API) writeProblem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	trustedHeaders(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}); err != nil {
		a.log.DebugContext(r.Context(), "the client has gone", "error", err)
	}
}
