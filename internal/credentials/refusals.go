package credentials

import (
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// Refusals logs why requests were not authenticated: 20 at once and then one a second, since
// anyone can make as many as they like. It is safe for concurrent use.
type Refusals struct {
	log  *slog.Logger
	some rate.Sometimes
}

// NewRefusals logs to log, or to the default logger.
func NewRefusals(log *slog.Logger) *Refusals {
	if log == nil {
		log = slog.Default()
	}
	return &Refusals{log: log, some: rate.Sometimes{First: 20, Interval: time.Second}}
}

// maxLogged bounds what an error has of what a client sent.
const maxLogged = 500

// Report logs one request, with the cause that its client does not learn.
func (f *Refusals) Report(r *http.Request, err error) {
	f.some.Do(func() {
		text, path := err.Error(), r.URL.Path
		f.log.Info("a request was not authenticated", "method", r.Method, "path", path[:min(len(path), maxLogged)], "remote", r.RemoteAddr, "error", text[:min(len(text), maxLogged)])
	})
}
