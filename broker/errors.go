package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/stompbox/stompbox/frames"
)

// Code names a kind of error. Codes are stable: they label metrics and log
// lines, and docs/errors.md lists them. Those of [frames.Error] join them.
type Code = frames.Code

// The kinds of error that a session can end in, beside those of the codec.
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
	CodeNotAvailable     Code = "not-available-yet"
	CodeUnavailable      Code = "unavailable"
	CodeQueueFull        Code = "queue-full"
	CodeNoConsumer       Code = "no-consumer"
	CodeNotStored        Code = "not-stored"
	CodeShutdown         Code = "shutting-down"
)

// Error ends a session, or refuses to begin one. Its Message is what the client
// reads in the ERROR frame; Cause is for the log alone.
type Error struct {
	Code    Code
	Message string
	Cause   error

	receipt    string // for receipt-id
	version    bool   // name our versions in the ERROR
	retryAfter int    // seconds after which trying again may do, or 0
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

// Frame returns the ERROR frame of e, for a connection that no session was opened on.
// It is in STOMP 1.0's encoding, which all versions read.
func (e *Error) Frame() *frames.Frame {
	f := frames.New(frames.ERROR, frames.MessageHeader, e.Message, frames.ContentType, "text/plain")
	if e.retryAfter > 0 {
		f.Headers = f.Headers.With(HeaderRetryAfter, strconv.Itoa(e.retryAfter))
	}
	f.Body = []byte(e.Message)
	return f
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
	return &Error{Code: CodeUnavailable, Message: "the broker could not do that; its log says why", Cause: err}
}

// ErrClosed is returned by [Session.Receive] once the session has ended: what
// still arrives is to be read and thrown away until the connection ends.
var ErrClosed = errors.New("broker: the session has ended")
