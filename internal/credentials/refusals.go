package credentials

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/stompbox/stompbox/internal/logattr"
)

// Refusals logs why requests were not authenticated: 20 at once and then one a second, since
// anyone can make as many as they like. It is safe for concurrent use.
type Refusals struct {
	log   *slog.Logger
	lines logattr.Lines
}

// NewRefusals logs to log, or to the default logger.
func NewRefusals(log *slog.Logger) *Refusals {
	if log == nil {
		log = slog.Default()
	}
	return &Refusals{log: log}
}

// knownUser is an error that knows who the client is all the same, such as one who is banned.
type knownUser interface {
	error
	KnownUser() string
}

// Report logs one request, with the cause that its client does not learn.
func (f *Refusals) Report(r *http.Request, err error) {
	attributes := []any{"method", r.Method, "path", logattr.Short(r.URL.Path), "remote", r.RemoteAddr, "error", logattr.Short(err.Error())}
	if known, ok := errors.AsType[knownUser](err); ok {
		attributes = append(attributes, "user", known.KnownUser())
	}
	f.lines.Write(f.log, slog.LevelInfo, "a request was not authenticated", attributes...)
}
