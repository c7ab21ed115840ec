package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/openfiles"
	"github.com/stompbox/stompbox/internal/problem"
)

// maxConnections is limits.connections, or what the limit of open files leaves room for
// where that is less or the configuration says nothing. 0: no limit.
func maxConnections(c *config.Config) int {
	soft, _, err := openfiles.Limit()
	room := openfiles.Connections(soft)
	if err != nil {
		room = 0
	}
	switch configured := c.Limits.Connections; {
	case configured <= 0:
		return room
	case room > 0:
		return min(configured, room)
	default:
		return configured
	}
}

// logOpenFiles says how many connections there can be.
func logOpenFiles(c *config.Config, log *slog.Logger) {
	soft, hard, err := openfiles.Limit()
	if err != nil {
		log.Warn("the limit of open files cannot be read", "error", err)
		return
	}
	connections, reserve := maxConnections(c), openfiles.Reserve(soft)
	if openfiles.Connections(soft) == 0 {
		log.Info("open files are not limited", "connections", connections)
		return
	}
	level, message := slog.LevelInfo, "open files are limited"
	if c.Limits.Connections > connections {
		level, message = slog.LevelWarn, "limits.connections is more than the limit of open files allows; raise that"
	}
	log.Log(context.Background(), level, message, "limit", soft, "hard", hard, "connections", connections, "reserve", reserve)
}

// connectionGate keeps HTTP from taking the descriptors that the rest of the process needs.
// Connections beyond what the limit of open files leaves room for are answered with 503,
// except for questions about the health of the node; and those that are far beyond are closed.
// What is taken over from HTTP, as WebSockets are, counts as a session.
type connectionGate struct {
	limit    int64 // 0: none
	extra    int64 // connections beyond it that get an answer
	sessions func() int64
	log      *slog.Logger

	open    atomic.Int64
	refused atomic.Int64
	logged  atomic.Int64 // when that was said last, in nanoseconds since 1970
}

func newConnectionGate(sessions func() int64, log *slog.Logger) *connectionGate {
	g := &connectionGate{sessions: sessions, log: log}
	if soft, _, err := openfiles.Limit(); err == nil {
		if g.limit = int64(openfiles.Connections(soft)); g.limit > 0 {
			g.extra = int64(openfiles.Reserve(soft) / 4)
		}
	}
	return g
}

type overLimit struct{}

// guard has a server count its connections.
func (g *connectionGate) guard(s *http.Server) {
	if g.limit == 0 {
		return
	}
	s.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			g.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			g.open.Add(-1)
		}
	}
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		n := g.open.Load() + g.sessions()
		if n < g.limit {
			return ctx
		}
		if n >= g.limit+g.extra {
			_ = c.Close() // so that no header of the PROXY protocol is waited for
			g.refuse(c.RemoteAddr().String())
		}
		return context.WithValue(ctx, overLimit{}, true)
	}
	s.Handler = g.answer(s.Handler)
}

// answer refuses what comes over connections that are beyond the limit.
func (g *connectionGate) answer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(overLimit{}) == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close")
		if answersAlways(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		g.refuse(r.RemoteAddr)
		p := problem.Coded(broker.CodeTooManySessions, "the server has as many connections as its limit of open files allows")
		p.RetryAfter = refusedRetry
		problem.Write(w, p)
	})
}

const (
	// refusedRetry is when a client that was refused may come back.
	refusedRetry = 5 * time.Second
	// refusedLogEvery is how often refusals are logged.
	refusedLogEvery = 10 * time.Second
)

func (g *connectionGate) refuse(remote string) {
	n, now := g.refused.Add(1), time.Now().UnixNano()
	if last := g.logged.Load(); now-last >= int64(refusedLogEvery) && g.logged.CompareAndSwap(last, now) {
		g.log.Warn("connections are refused: there are as many as the limit of open files allows", "limit", g.limit, "refused", n, "remote", remote)
	}
}

// RefusedConnections is how many were refused, and ConnectionLimit what bounds them.
func (g *connectionGate) RefusedConnections() int64 { return g.refused.Load() }

func (g *connectionGate) ConnectionLimit() int64 { return g.limit }
