package broker

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/codes"
)

// Code names a kind of error. Codes are stable: clients read them in the header code of an
// ERROR, they label metrics and log lines, and docs/errors.md explains each. Those of
// [frames.Error] join them.
type Code = frames.Code

// The codes of errors that end a session, in addition to those of the codec.
const (
	CodeNotConnected     Code = "not-connected"
	CodeConnectedTwice   Code = "connected-twice"
	CodeConnectTimeout   Code = "connect-timeout"
	CodeUnauthenticated  Code = "unauthenticated"
	CodeLoginBusy        Code = "login-busy"
	CodeTokenExpired     Code = "token-expired"
	CodeForbidden        Code = "forbidden"
	CodeDestination      Code = "bad-destination"
	CodeMissingHeader    Code = "missing-header"
	CodeBadHeader        Code = "bad-header"
	CodeUnexpected       Code = "unexpected-command"
	CodeSubscription     Code = "bad-subscription"
	CodeAck              Code = "bad-ack"
	CodeTransaction      Code = "bad-transaction"
	CodeTooManySubs      Code = "too-many-subscriptions"
	CodeTransactionSize  Code = "transaction-too-large"
	CodeMessageRate      Code = "message-rate"
	CodeTooManySessions  Code = "too-many-connections"
	CodeConnectRate      Code = "connect-rate"
	CodeSlowConsumer     Code = "slow-consumer"
	CodeHeartBeatMissing Code = "heart-beat-missing"
	CodeIdle             Code = "connection-idle"
	CodeFrameTimeout     Code = "frame-timeout"
	CodeNotAvailable     Code = "not-available-yet"
	CodeUnavailable      Code = "unavailable"
	CodeMemoryLimit      Code = "memory-limit"
	CodeQueueFull        Code = "queue-full"
	CodeNoConsumer       Code = "no-consumer"
	CodeNotStored        Code = "not-stored"
	CodeShutdown         Code = "shutting-down"
)

// Error ends a session, or refuses a new one. The client gets Message in the ERROR frame; Cause
// is for the log only.
type Error struct {
	Code    Code
	Message string
	Cause   error

	receipt    string // for receipt-id
	version    bool   // name our versions in the ERROR
	retryAfter int    // seconds after which trying again may do, or 0
	limit      string // that was reached; "" is the one of the Code, if it has one
	counted    bool   // the limit was
	user       string // who was authenticated and is refused, for the log; "" where it is the session's
}

// reached is the limit that an error is about, or "".
func (e *Error) reached() string { return cmp.Or(e.limit, limitsOfCodes[e.Code]) }

// of names the limit that the error is about.
func (e *Error) of(limit string) *Error {
	e.limit = limit
	return e
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("%s (%v)", e.Message, e.Cause)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

// Is reports whether target is an [*Error] with the same Code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// errorf makes an Error. Text of a peer in it is cut where it is long.
func errorf(code Code, format string, args ...any) *Error {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = truncate(text, maxQuoted)
		}
	}
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

const (
	// maxQuoted is how many bytes of a peer's text an ERROR repeats.
	maxQuoted = 256
	// maxLogged is how many bytes of an error the log has.
	maxLogged = 1024
)

// truncate cuts text at a character where it is longer than limit.
func truncate(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}

// shuttingDown makes the Error of a node that stops. Others are there for the client.
func shuttingDown(message string) *Error {
	return &Error{Code: CodeShutdown, Message: message, retryAfter: 1}
}

// Frame returns the ERROR frame of e, for a connection without a session. It uses the encoding of
// STOMP 1.0, which all versions can read.
func (e *Error) Frame() *frames.Frame {
	return e.frame(e.Message)
}

// frame returns the ERROR frame of e, with the message in the encoding of the session.
func (e *Error) frame(message string) *frames.Frame {
	f := frames.New(frames.ERROR, frames.MessageHeader, message, HeaderCode, string(e.Code))
	if e.receipt != "" {
		f.Headers = f.Headers.With(frames.ReceiptID, e.receipt)
	}
	if e.version {
		f.Headers = f.Headers.With(frames.VersionName, frames.Supported)
	}
	if e.retryAfter > 0 {
		f.Headers = f.Headers.With(HeaderRetryAfter, strconv.Itoa(e.retryAfter))
	}
	f.Headers = f.Headers.With(frames.ContentType, "text/plain")
	f.Body = []byte(e.Message)
	return f
}

// RetryAfter returns when the client should try again, or 0 if that is not known.
func (e *Error) RetryAfter() time.Duration { return time.Duration(e.retryAfter) * time.Second }

// CloseCode returns the code with which a WebSocket is closed after the ERROR frame of e.
func (e *Error) CloseCode() CloseCode {
	if e.retryAfter > 0 {
		return CloseRetry
	}
	if entry, ok := codes.Of(e.Code); ok && entry.Close != 0 {
		return CloseCode(entry.Close)
	}
	return ClosePolicy
}

// CloseReason returns the reason for the close frame. It begins with the error's code, for
// clients that only see the close event.
func (e *Error) CloseReason() string { return string(e.Code) + ": " + e.Message }

// seeLog ends messages whose cause is in the log alone.
const seeLog = "log says why"

// inSession names the session in a message that sends its reader to the log, so that an
// operator finds the line.
func (e *Error) inSession(id string) {
	if strings.HasSuffix(e.Message, seeLog) {
		e.Message += ", under session " + id
	}
}

// protocolError makes any error of handling a frame fit to be shown.
func protocolError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var codec *frames.Error
	if errors.As(err, &codec) {
		return &Error{Code: codec.Code, Message: codec.Message, receipt: codec.Receipt, version: codec.Code == frames.CodeVersion}
	}
	return &Error{Code: CodeUnavailable, Message: "the broker could not do that; its log says why", Cause: err, retryAfter: retryAfter}
}

// ErrClosed is returned by [Session.Receive] once the session has ended: read and discard what
// still arrives until the connection ends.
var ErrClosed = errors.New("broker: the session has ended")
