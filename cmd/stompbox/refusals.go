package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/logattr"
	"github.com/stompbox/stompbox/metrics"
)

// refusals counts and logs connections that listeners refuse before there is a request or a
// session.
type refusals struct {
	server     *server
	counts     *metrics.Listeners
	addresses  logattr.Lines
	handshakes logattr.Lines
}

// addressIsFull is for a connection over HTTP that is beyond limits.address_connections.
func (f *refusals) addressIsFull(remote string) {
	const limit = "address_connections"
	f.server.broker.CountLimit(limit)
	f.addresses.Write(f.server.log, slog.LevelInfo, "a connection was refused", "limit", limit, "user", "", "remote", remote, "transport", "http")
}

// header is for a proxy's connection without a valid PROXY header. Warnings are limited.
func (f *refusals) header(listener string) func(proxy, reason string, err error) {
	return func(proxy, reason string, err error) {
		f.counts.HeaderRefused(listener, reason)
		f.server.log.Warn("a connection of a trusted proxy was closed, as it has no valid PROXY header; have the proxy send one, or correct "+listener+".proxy_protocol and "+listener+".trusted_proxies",
			"listener", listener, "remote", proxy, "reason", reason, "error", logattr.Short(err.Error()))
	}
}

// The reasons of TLS handshakes that failed, as the metric has them.
const (
	noCertificate      = "no-certificate"
	certificateRevoked = "certificate-revoked"
	certificateRefused = "certificate-refused"
	notTLS             = "not-tls"
	plainListener      = "tls-to-plain-port"
	noCommonVersion    = "no-common-version"
	noCommonCipher     = "no-common-cipher"
	refusedByClient    = "refused-by-client"
	handshakeTimeout   = "timeout"
	handshakeEnded     = "ended"
	otherFailure       = "other"
)

// handshake is for a TLS handshake that failed. One that just ends, or takes too long, has no line:
// checks of load balancers, and scans of ports, make those.
func (f *refusals) handshake(listener, remote string, err error) {
	if errors.Is(err, clientaddr.ErrHeader) {
		return // which was reported
	}
	reason := handshakeReason(err)
	f.counts.HandshakeFailed(listener, reason)
	if reason == handshakeEnded || reason == handshakeTimeout {
		return
	}
	attributes := []any{"listener", listener, "remote", remote, "reason", reason}
	if refused, ok := errors.AsType[*refusedCertificate](err); ok {
		attributes = append(attributes, "subject", refused.subject)
	} else if unverified, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(unverified.UnverifiedCertificates) > 0 {
		attributes = append(attributes, "subject", logattr.Short(unverified.UnverifiedCertificates[0].Subject.String()))
	}
	f.handshakes.Write(f.server.log, slog.LevelInfo, "a TLS handshake failed", append(attributes, "error", logattr.Short(err.Error()))...)
}

// tlsToPlain is for a TLS handshake with a listener that has no TLS.
func (f *refusals) tlsToPlain(listener string) func(remote string) {
	return func(remote string) {
		f.counts.HandshakeFailed(listener, plainListener)
		f.handshakes.Write(f.server.log, slog.LevelInfo, "a TLS handshake failed", "listener", listener, "remote", remote, "reason", plainListener, "error", listener+".listen has no TLS")
	}
}

// watch has an HTTP server report handshakes that fail.
func (f *refusals) watch(listener string) func(*http.Server) {
	return func(s *http.Server) {
		next := s.ConnState
		s.ConnState = func(c net.Conn, now http.ConnState) {
			if t, ok := c.(*tls.Conn); ok && now == http.StateClosed && !t.ConnectionState().HandshakeComplete {
				if err := t.Handshake(); err != nil { // that of the one handshake there is
					f.handshake(listener, t.RemoteAddr().String(), err)
				}
			}
			if next != nil {
				next(c, now)
			}
		}
	}
}

// refusedCertificate is why the certificate of a client does not count.
type refusedCertificate struct {
	subject string
	err     error
}

func (e *refusedCertificate) Error() string { return e.err.Error() }
func (e *refusedCertificate) Unwrap() error { return e.err }

// handshakeReason names what went wrong. Some errors of crypto/tls have a text alone.
func handshakeReason(err error) string {
	var record tls.RecordHeaderError
	var unverified *tls.CertificateVerificationError
	var refused *refusedCertificate
	var op *net.OpError
	switch text := err.Error(); {
	case errors.As(err, &record):
		return notTLS
	case errors.Is(err, certfile.ErrRevoked):
		return certificateRevoked
	case errors.As(err, &unverified), errors.As(err, &refused):
		return certificateRefused
	case errors.As(err, &op) && op.Op == "remote error":
		return refusedByClient
	case errors.Is(err, os.ErrDeadlineExceeded):
		return handshakeTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return handshakeEnded
	case strings.Contains(text, "didn't provide a certificate"):
		return noCertificate
	case strings.Contains(text, "unsupported versions"), strings.Contains(text, "protocol version not supported"):
		return noCommonVersion
	case strings.Contains(text, "no cipher suite"), strings.Contains(text, "no ECDHE curve"), strings.Contains(text, "no key exchanges"):
		return noCommonCipher
	}
	return otherFailure
}
