package broker

import (
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/logattr"
)

// ending is how a session ends that no error ends. Its code is for the log only, except for that
// of a shutdown, which clients read as well.
type ending struct{ code, cause string }

// Refusal is why a transport does not take what a peer sent, for the log.
type Refusal struct {
	Reason string // as the close frame has it
	Limit  string // that was reached, as [Stats.Limited] names it, or ""
}

func (r Refusal) ending() *ending { return &ending{codeRefused, r.Reason} }

// codeRefused is that of a session which a [Refusal] ends.
const codeRefused = "message-refused"

var (
	endedByClient   = ending{"client-left", "disconnected by the client"}
	endedByShutdown = ending{string(CodeShutdown), "the server is shutting down"}
	endedByLifetime = ending{"lifetime-over", "the stream has reached its lifetime"}
	endedByLoss     = ending{"connection-lost", "the connection was lost"}
)

// endCause is why a session ends. The first cause counts.
type endCause struct{ cause atomic.Pointer[ending] }

func (c *endCause) set(cause *ending) { c.cause.CompareAndSwap(nil, cause) }

// get returns the cause, or what has become of a connection that ended without one.
func (c *endCause) get() *ending {
	if cause := c.cause.Load(); cause != nil {
		return cause
	}
	return &endedByLoss
}

// strangers bounds the log lines of connections that end before they are authenticated,
// which anyone can make as often as they like. What is left out is counted in the metrics.
type strangers struct{ lines logattr.Lines }

// do writes a line, unless there were too many.
func (l *strangers) do(log *slog.Logger, message string, attributes []any) {
	l.lines.Write(log, slog.LevelInfo, message, attributes...)
}

// notOpened says why a connection became no session.
func (l *strangers) notOpened(log *slog.Logger, t Transport, e *Error) {
	l.do(log, "a connection was refused", []any{
		"limit", e.reached(), "user", e.user, "remote", t.RemoteAddr(), "transport", t.Name(), "code", string(e.Code), "error", truncate(e.Error(), maxLogged),
	})
}

// attributes are those of each line about a session.
func (s *Session) attributes(more ...any) []any {
	user := ""
	if s.Connected() {
		user = s.user
	}
	return s.attributesOf(user, more...)
}

func (s *Session) attributesOf(user string, more ...any) []any {
	return append([]any{"session", s.id, "user", user, "remote", s.transport.RemoteAddr(), "transport", s.transport.Name()}, more...)
}

// totals are the attributes of the line about its end.
func (s *Session) totals(sent int64) []any {
	open := time.Duration(s.broker.clock.now() - s.openedAt)
	return []any{"open", open.Round(time.Millisecond), "received_bytes", s.received.Load(), "sent_bytes", sent}
}

// logInfo writes a line about the session, unless its user has had too many of them.
func (s *Session) logInfo(message string, attributes []any) {
	if s.Connected() {
		passes, suppressed := s.broker.lines.Take(s.user)
		if !passes {
			s.broker.usage.count(limitUserLogLines)
			return
		}
		if suppressed > 0 {
			attributes = append(attributes, "suppressed", suppressed)
		}
	}
	s.broker.log.Info(message, attributes...)
}

func (s *Session) logConnected(version frames.Version) {
	s.logInfo("session connected", s.attributes("method", s.principal.Method, "version", version.String()))
}

// logRefused says which subscription an error was about, which also ends the session.
func (s *Session) logRefused(destination string, e *Error) {
	if s.Connected() {
		s.logInfo("subscription refused", s.attributes("destination", truncate(destination, maxQuoted), "code", string(e.Code), "error", truncate(e.Error(), maxLogged)))
	}
}

// report counts and logs the error that ends a session, before the peer can know. Sent
// has the bytes of the ERROR, which is still to be written.
func (s *Session) report(e *Error, sent int64) {
	s.broker.counters.countError(e)
	s.reported.Store(true)
	const message = "session ended by an error"
	what := []any{"code", string(e.Code), "error", truncate(e.Error(), maxLogged)}
	if limit := e.reached(); limit != "" {
		what = append(what, "limit", limit)
	}
	what = append(what, s.totals(sent)...)
	if s.Connected() {
		s.logInfo(message, s.attributes(what...))
	} else {
		s.broker.strangers.do(s.broker.log, message, s.attributesOf(e.user, what...))
	}
}

// logEnd says that a connection has ended, unless an error ended it that was reported.
func (s *Session) logEnd(reason error) {
	if s.reported.Load() {
		return
	}
	end := s.ended.get()
	attributes := append(s.attributes("code", end.code, "cause", end.cause), s.totals(s.outbox.written.Load())...)
	if end == &endedByLoss && reason != nil && !errors.Is(reason, io.EOF) { // else it adds nothing to the cause
		attributes = append(attributes, "error", reason)
	}
	switch {
	case s.Connected():
		s.logInfo("session ended", attributes)
	case end.code == codeRefused:
		s.broker.strangers.do(s.broker.log, "session ended", attributes)
	default:
		s.broker.log.Debug("session ended", attributes...) // such as a check of a load balancer
	}
}
