// Package problem writes errors as HTTP clients read them: problem documents (RFC 9457).
package problem

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/codes"
)

// Details are an error as HTTP clients read it.
type Details struct {
	// Type is where the code is explained.
	Type   string `json:"type,omitempty"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is stable, unlike the detail. Index is which of several messages was refused.
	Code  broker.Code `json:"code"`
	Index *int        `json:"index,omitempty"`
	// Next is where a search that has found nothing goes on, if it has not come to the end.
	Next string `json:"next,omitempty"`
	// RetryAfter is after how long trying again may do; 0 is the default of the status.
	RetryAfter time.Duration `json:"-"`
}

func (d *Details) Error() string { return d.Detail }

// ContentType is that of a problem document.
const ContentType = "application/problem+json"

// Codes of requests that never become a frame.
const (
	CodeBadRequest        broker.Code = "bad-request"
	CodeOrigin            broker.Code = "origin-not-allowed"
	CodeNotFound          broker.Code = "not-found"
	CodeMethod            broker.Code = "method-not-allowed"
	CodeRequestInProgress broker.Code = "request-in-progress"
	CodeMediaType         broker.Code = "unsupported-media-type"
	CodeConfiguration     broker.Code = "bad-configuration"
	CodeKeyReused         broker.Code = "idempotency-key-reused"
)

// codeOf has the code of a status where nothing more is known.
var codeOf = map[int]broker.Code{
	http.StatusBadRequest:            CodeBadRequest,
	http.StatusUnauthorized:          broker.CodeUnauthenticated,
	http.StatusForbidden:             broker.CodeForbidden,
	http.StatusNotFound:              CodeNotFound,
	http.StatusMethodNotAllowed:      CodeMethod,
	http.StatusConflict:              CodeRequestInProgress,
	http.StatusRequestEntityTooLarge: broker.CodeTransactionSize,
	http.StatusUnsupportedMediaType:  CodeMediaType,
	http.StatusUnprocessableEntity:   broker.CodeRejected,
	http.StatusTooManyRequests:       broker.CodeMessageRate,
	http.StatusNotImplemented:        broker.CodeNotAvailable,
}

// New returns the problem of a status. The detail says what is wrong and what would help.
// The code is the one of the status; set another where more is known.
func New(status int, detail string) *Details {
	code, ok := codeOf[status]
	switch {
	case ok:
	case status < http.StatusInternalServerError:
		code = CodeBadRequest
	default:
		code = broker.CodeUnavailable
	}
	return &Details{Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// Coded returns the problem of a code, whose status is in the table of codes.
func Coded(code broker.Code, detail string) *Details {
	d := New(statusOf(code), detail)
	d.Code = code
	return d
}

// Of returns the problem that an error of the broker is.
func Of(e *broker.Error) *Details {
	d := Coded(e.Code, e.Message)
	d.RetryAfter = e.RetryAfter()
	return d
}

// Unauthenticated returns the problem of a request whose credentials were not taken, with
// a hint of what to send, or an error that is none as it is. It counts the problem.
func Unauthenticated(b *broker.Broker, endpoint broker.Endpoint, err error, hint string) error {
	var busy *auth.BusyError
	if errors.As(err, &busy) && busy.Limit != "" {
		b.CountLimit(busy.Limit)
	}
	err = unauthenticated(err, hint)
	var d *Details
	if errors.As(err, &d) {
		broker.CountUnauthenticated(b, endpoint, d.Code)
	}
	return err
}

func unauthenticated(err error, hint string) error {
	var busy *auth.BusyError
	var kept *broker.BannedError
	switch {
	case errors.As(err, &kept):
		return Coded(broker.CodeBanned, kept.Error())
	case errors.Is(err, broker.ErrBansUnread):
		return Coded(broker.CodeUnavailable, broker.ErrBansUnread.Error())
	case errors.Is(err, auth.ErrNameTooLong):
		return New(http.StatusUnauthorized, auth.ErrNameTooLong.Error())
	case errors.Is(err, auth.ErrUnauthenticated):
		return New(http.StatusUnauthorized, hint)
	case errors.As(err, &busy):
		d := New(http.StatusServiceUnavailable, busy.Error())
		d.Code, d.RetryAfter = broker.CodeLoginBusy, busy.RetryAfter
		return d
	}
	return err
}

// retryAfter is after how long to try again what is not available.
const retryAfter = 5 * time.Second

// seconds is a time as Retry-After has it: whole seconds, at least one.
func seconds(d, otherwise time.Duration) string {
	return strconv.Itoa(int(math.Ceil(cmp.Or(d, otherwise).Seconds())))
}

// Write answers a request with an error. Of one that is no problem, clients read no more
// than that something is not available.
func Write(w http.ResponseWriter, err error) {
	var d *Details
	if !errors.As(err, &d) {
		d = New(http.StatusServiceUnavailable, "that is not available at the moment; try again in some seconds. The broker's log says why")
	}
	switch d.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", seconds(d.RetryAfter, retryAfter))
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", seconds(d.RetryAfter, time.Second))
	case http.StatusConflict:
		if d.RetryAfter > 0 {
			w.Header().Set("Retry-After", seconds(d.RetryAfter, time.Second))
		}
	}
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(d.Status)
	answer := *d
	answer.Type = codes.URI(d.Code)
	_ = json.NewEncoder(w).Encode(answer)
}

// statusOf is what an error of the broker is in HTTP.
func statusOf(code broker.Code) int {
	if entry, ok := codes.Of(code); ok && entry.Status != 0 {
		return entry.Status
	}
	return http.StatusBadRequest
}

// maxQuoted is how many bytes of what a peer sent an error repeats.
const maxQuoted = 64

// Truncate shortens what a peer sent, for an error that repeats it.
func Truncate(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxQuoted)], "") }
