package main

import (
	"context"
	"net/http"
	"time"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/console"
	"github.com/stompbox/stompbox/internal/problem"
)

// mux is what the HTTP listener serves.
func (s *server) mux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /ws", s.websocket)
	mux.Handle("GET /events", s.events)
	mux.Handle("OPTIONS /events", s.events)
	mux.HandleFunc("GET /healthz", s.healthy)
	mux.HandleFunc("GET /readyz", s.ready)
	if !s.config().Dev {
		return s.withAPI(mux)
	}
	s.addMetrics(mux, s.config().Metrics.Pprof)
	mux.HandleFunc("GET /dev/token", s.devToken)
	mux.Handle("GET /", console.Chat())
	return loopbackHosts(s.withAPI(mux))
}

// withAPI adds SockJS and the HTTP API, which answer every method of their paths themselves.
func (s *server) withAPI(mux *http.ServeMux) http.Handler {
	all := http.NewServeMux()
	all.Handle("/", problem.Mux(mux, ""))
	all.Handle("/api/", s.api)
	return s.sockjs.Mount(all)
}

// healthPatience is how long the locks of the broker may take to come free.
const healthPatience = 5 * time.Second

// healthy answers supervisors: 503 when the broker hangs, so that a restart mends it.
func (s *server) healthy(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthPatience)
	defer cancel()
	if err := s.broker.Alive(ctx); err != nil {
		notNow(w, err.Error())
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// ready answers load balancers: 503 while draining, without NATS, or before it is known who is
// banned.
func (s *server) ready(w http.ResponseWriter, _ *http.Request) {
	if why := s.broker.Stats().NotReady; why != "" {
		notNow(w, why)
		return
	}
	_, _ = w.Write([]byte("ready\n"))
}

// notNow answers a probe, which shows the text to people.
func notNow(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, why, http.StatusServiceUnavailable)
}

// devToken gives every program on this machine a token for any user.
func (s *server) devToken(w http.ResponseWriter, r *http.Request) {
	user := r.URL.Query().Get("user")
	if user == "" || len(user) > 200 {
		problem.Write(w, problem.New(http.StatusBadRequest, "say who the token is for: /dev/token?user=alice"))
		return
	}
	token, _, err := sign(s.config(), user, auth.Claims{TTL: 12 * time.Hour})
	if err != nil {
		problem.Write(w, problem.New(http.StatusInternalServerError, err.Error()))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(token))
}

// loopbackHosts refuses requests whose Host is not this machine's, so that no
// web page can reach the development mode through a name of its own.
func loopbackHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !gateway.IsLoopback(hostName(r.Host)) {
			problem.Write(w, problem.New(http.StatusForbidden, "development mode answers localhost and 127.0.0.1 only"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
