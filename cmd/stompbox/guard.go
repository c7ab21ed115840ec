package main

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/problem"
)

// guard lets those ask who show one of the tokens, or anyone where there is none. Who
// shows no token has to ask by a name that no web page can make its own: a page is kept
// from other hosts by its browser, but can have its own name lead to this machine.
type guard struct {
	tokens []config.Token
	hosts  []string // names that are allowed, in addition to those that no other machine can have
	log    *slog.Logger
	some   rate.Sometimes
	count  func() // counts a request without one of the tokens
}

func newGuard(hosts []string, log *slog.Logger, count func(), tokens ...config.Token) *guard {
	if name, err := os.Hostname(); err == nil {
		hosts = append(slices.Clone(hosts), name)
	}
	set := slices.DeleteFunc(tokens, func(t config.Token) bool { return !t.IsSet() })
	return &guard{tokens: set, hosts: hosts, log: log, count: count, some: rate.Sometimes{First: 10, Interval: time.Second}}
}

// wrap guards a handler.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch shown, ok := bearer(r); {
		case len(g.tokens) == 0 && g.hostAllowed(r.Host):
		case len(g.tokens) == 0:
			g.refused(r, "host")
			problem.Write(w, problem.New(http.StatusForbidden, "this listener does not answer to the name "+problem.Truncate(hostName(r.Host))+"; ask by its address, or add the name to allowed_hosts"))
			return
		case !ok || !slices.ContainsFunc(g.tokens, func(t config.Token) bool { return t.Matches(shown) }):
			g.refused(r, "token")
			g.count()
			problem.Write(w, problem.New(http.StatusUnauthorized, "send the token of this listener as Authorization: Bearer"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (g *guard) refused(r *http.Request, what string) {
	g.some.Do(func() {
		g.log.Warn("a request to a listener for operators was refused", "for", what, "path", r.URL.Path, "host", r.Host, "remote", r.RemoteAddr)
	})
}

// hostAllowed reports whether a Host is an address, a name that only this network knows,
// or one that is configured.
func (g *guard) hostAllowed(host string) bool {
	name := hostName(host)
	if gateway.IsLoopback(name) || net.ParseIP(strings.Trim(name, "[]")) != nil || name != "" && !strings.Contains(name, ".") {
		return true
	}
	return slices.ContainsFunc(g.hosts, func(allowed string) bool { return strings.EqualFold(allowed, name) })
}

// hostName is a Host without its port.
func hostName(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		return h
	}
	return host
}

// bearer returns the token of a request.
func bearer(r *http.Request) (token string, ok bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}
