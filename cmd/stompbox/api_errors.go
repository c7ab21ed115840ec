package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// linkError says why there is no answer of a broker, and what to do about it.
type linkError struct {
	where         *url.URL
	cause, remedy string
	err           error
}

func (e *linkError) Error() string {
	text := "cannot talk to " + e.where.Redacted() + ": " + e.cause
	if e.remedy != "" {
		text += "; " + e.remedy
	}
	return text
}

func (e *linkError) Unwrap() error { return e.err }

// answerError is an answer of a broker that refuses something.
type answerError struct {
	status int
	text   string
	next   string // where a search that has found nothing goes on
}

func (e *answerError) Error() string { return e.text }

// silentError means that a broker neither took nor sent anything for a time.
type silentError struct{ after time.Duration }

func (e *silentError) Error() string { return fmt.Sprintf("no answer within %s", e.after) }

// noAnswer is the error of a request without an answer.
func noAnswer(base *url.URL, method string, err error) error {
	e := newLinkError(base, err)
	var silent *silentError
	if method != http.MethodGet && errors.As(err, &silent) {
		e.remedy += ". It may still do what it was asked for"
	}
	return e
}

// newLinkError explains an error of a connection.
func newLinkError(u *url.URL, err error) *linkError {
	var inUse *url.Error
	if errors.As(err, &inUse) {
		err = inUse.Err // the address is said already
	}
	e := &linkError{where: u, cause: err.Error(), err: err}
	var (
		silent  *silentError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
		noTLS   tls.RecordHeaderError
		timeout net.Error
	)
	switch {
	case errors.As(err, &silent):
		e.remedy = "the broker hangs, is overloaded or is cut off: look at its process and its log, or give it longer with --timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.cause, e.remedy = "no program listens there", "start the broker, or name another with --url"
	case errors.As(err, &unknown):
		e.cause, e.remedy = "its certificate is of an authority that this machine does not trust", "name the PEM file of that authority with --ca"
	case errors.As(err, &name):
		e.cause, e.remedy = name.Error(), "use a name in --url that the certificate has"
	case errors.As(err, &invalid):
		e.cause = invalid.Error()
	case errors.As(err, &noTLS), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		e.cause, e.remedy = "it does not speak TLS", "use "+otherScheme(u)+" in --url"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		e.cause, e.remedy = "the connection ended before the answer", "look whether the broker runs, and at its log"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		e.cause, e.remedy = "no answer in time", "look whether the broker runs, and whether a firewall is in between"
	}
	return e
}

// otherScheme is how an address begins with TLS where one without does not, and the other way round.
func otherScheme(u *url.URL) string {
	return map[string]string{"http": "https://", "https": "http://", "ws": "wss://", "wss": "ws://"}[u.Scheme]
}
