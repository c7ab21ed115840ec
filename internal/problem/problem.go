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
	"github.com/stompbox/stompbox/frames"
)

// Details are an error as HTTP clients read it.
type Details struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Code is the broker's, where a message was refused, and Index which one of several.
	Code  broker.Code `json:"code,omitempty"`
	Index *int        `json:"index,omitempty"`
	// RetryAfter is after how long trying again may do; 0 is the default of the status.
	RetryAfter time.Duration `json:"-"`
}

func (d *Details) Error() string { return d.Detail }

// ContentType is that of a problem document.
const ContentType = "application/problem+json"

// New returns the problem of a status. The detail says what is wrong and what would help.
func New(status int, detail string) *Details {
	return &Details{Title: http.StatusText(status), Status: status, Detail: detail}
}

// Of returns the problem that an error of the broker is, without its code.
func Of(e *broker.Error) *Details { return New(statusOf(e.Code), e.Message) }

// Unauthenticated returns the problem of a request whose credentials were not taken, with
// a hint of what to send, or an error that is none as it is.
func Unauthenticated(err error, hint string) error {
	var busy *auth.BusyError
	switch {
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
		d = New(http.StatusServiceUnavailable, "that is not available at the moment; the broker's log says why")
	}
	switch d.Status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", seconds(d.RetryAfter, retryAfter))
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", seconds(d.RetryAfter, time.Second))
	}
	w.Header().Set("Content-Type", ContentType)
	w.WriteHeader(d.Status)
	_ = json.NewEncoder(w).Encode(d)
}

// statusOf is what an error of the broker is in HTTP.
func statusOf(code broker.Code) int {
	switch code {
	case broker.CodeForbidden:
		return http.StatusForbidden
	case broker.CodeRejected:
		return http.StatusUnprocessableEntity
	case broker.CodeTransactionSize, frames.CodeBodySize:
		return http.StatusRequestEntityTooLarge
	case broker.CodeNotAvailable:
		return http.StatusNotImplemented
	case broker.CodeUnavailable, broker.CodeNotStored, broker.CodeNoConsumer, broker.CodeQueueFull, broker.CodeTooManySessions, broker.CodeShutdown, broker.CodeNoAppServer, broker.CodeAppBusy:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// maxQuoted is how many bytes of what a peer sent an error repeats.
const maxQuoted = 64

// Truncate shortens what a peer sent, for an error that repeats it.
func Truncate(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxQuoted)], "") }
