package source

import (
	"errors"
	"fmt"
)

// Failure is why a source could not be asked, in words for the administrator.
// It holds nothing secret.
type Failure struct {
	// Code is one word for programs: unreachable, tls, refused, status, timeout,
	// malformed, unsupported, base-url.
	Code string
	// Reason is a sentence for people.
	Reason string
	// Permanent says that another try would end in the same way.
	Permanent bool
	err       error
}

func (f *Failure) Error() string { return f.Reason }

// Unwrap returns what is behind it, which may be nil.
func (f *Failure) Unwrap() error { return f.err }

// The codes.
const (
	Unreachable  = "unreachable"
	BadTLS       = "tls"
	Forbidden    = "forbidden"
	Unauthorized = "unauthorized"
	BadStatus    = "status"
	TooSlow      = "timeout"
	BadAnswer    = "malformed"
	Unsupported  = "unsupported"
	NoBaseURL    = "base-url"
)

// Fail is a failure for which a further try makes sense.
func Fail(code string, err error, format string, args ...any) *Failure {
	return &Failure{Code: code, Reason: fmt.Sprintf(format, args...), err: err}
}

// Malformed is an answer that is not what the interface promises.
func Malformed(format string, args ...any) *Failure {
	return Fail(BadAnswer, nil, "the answer is not usable: "+format, args...)
}

// Refused is a failure that no further try mends.
func Refused(code, format string, args ...any) *Failure {
	f := Fail(code, nil, format, args...)
	f.Permanent = true
	return f
}

// FailureOf is the failure in an error; an error of another kind becomes one.
func FailureOf(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return &Failure{Code: "internal", Reason: err.Error(), err: err}
}
