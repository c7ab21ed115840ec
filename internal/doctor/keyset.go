package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"sync"

	"github.com/stompbox/stompbox/auth"
)

// keySetRemedy says what to do about a fetch that failed.
func keySetRemedy(err error) string {
	var (
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.Is(err, auth.ErrNoUsableKeys):
		return "the URL has to be that of a JSON Web Key Set with public keys for signatures"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the certificate of that server, or correct the clock of this machine"
	case errors.As(err, &host):
		return "write the host into the URL as its certificate names it"
	case errors.As(err, &authority):
		return "add the authority of its certificate to those that this machine trusts (update-ca-certificates), or name its PEM file in the service's variable SSL_CERT_FILE"
	}
	return "open the URL from this machine with curl -v; check DNS, firewall and proxy"
}

// keySet fetches the key set as serve does, and looks at its server's clock and
// certificate.
func checkKeySet(ctx context.Context, e *examination) []Result {
	j := e.c.Auth.JWT
	if j.JWKSURL == "" {
		return nil
	}
	const check = "auth.jwt.jwks_url"
	ctx, cancel := context.WithTimeout(ctx, e.Timeout)
	defer cancel()
	messages := new(firstMessage)
	keys, err := auth.NewJWKS(ctx, auth.JWKSOptions{URL: j.JWKSURL, AllowHTTP: j.JWKSAllowHTTP, Logger: slog.New(messages)})
	if err != nil {
		return []Result{fail(check, "correct the URL", "%v", err)}
	}
	host := "its server"
	if u, err := url.Parse(j.JWKSURL); err == nil {
		host = u.Host
	}
	all := []Result{keySetResult(check, host, keys.Stats(), messages)}
	return append(all, checkKeySetServer(ctx, e, j.JWKSURL, host)...)
}

func keySetResult(check, host string, stats auth.KeyStats, messages *firstMessage) Result {
	switch {
	case stats.FetchErrors > 0 && errors.Is(messages.why(), auth.ErrNoUsableKeys):
		return fail(check, keySetRemedy(auth.ErrNoUsableKeys), "%s answers, but %v", host, messages.why())
	case stats.FetchErrors > 0:
		text, cause := messages.read()
		return fail(check, keySetRemedy(cause), "the keys cannot be fetched from %s: %s", host, text)
	case stats.Skipped > 0:
		return warn(check, "tokens that these keys sign are refused; serve logs why each is skipped", "%d keys of %s, and %d that are not understood", stats.Keys, host, stats.Skipped)
	}
	return ok(check, "%d keys of %s", stats.Keys, host)
}

// keySetServer asks the server once more, for what the keys do not say.
func checkKeySetServer(ctx context.Context, e *examination, location, host string) []Result {
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, location, nil)
	if err != nil {
		return nil
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	sent := e.Now()
	answer, err := client.Do(request)
	if err != nil {
		return nil // the fetch of the keys has said so
	}
	_ = answer.Body.Close()
	var all []Result
	if at, sends := serverTime(answer.Header); sends {
		all = append(all, compareClock(e, "clock of "+host, at, sent, e.Now()))
	}
	if answer.TLS != nil {
		if result, bad := checkDates(e, "certificate of "+host, answer.TLS.PeerCertificates[0]); bad {
			all = append(all, result)
		}
	}
	return all
}

// firstMessage is a log handler that keeps the first record of a warning or worse.
type firstMessage struct {
	mu    sync.Mutex
	first string
	cause error
}

func (f *firstMessage) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (f *firstMessage) Handle(_ context.Context, r slog.Record) error {
	text, cause := r.Message, error(nil)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			text = a.Value.String()
			cause, _ = a.Value.Any().(error)
		}
		return true
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == "" {
		f.first, f.cause = text, cause
	}
	return nil
}

func (f *firstMessage) WithAttrs([]slog.Attr) slog.Handler { return f }
func (f *firstMessage) WithGroup(string) slog.Handler      { return f }

func (f *firstMessage) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.first, f.cause
}

func (f *firstMessage) why() error {
	_, cause := f.read()
	return cause
}
