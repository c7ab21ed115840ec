package main

import (
	"context"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/httpapi"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/problem"
	"github.com/stompbox/stompbox/metrics"
)

// metricsMux is what the listener of metrics serves.
func (s *server) metricsMux() (http.Handler, error) {
	own, err := s.config().Metrics.LoadToken(s.config().Dev)
	if err != nil {
		return nil, err
	}
	var admin config.Token
	if own.IsSet() {
		if admin, err = s.config().Admin.LoadToken(s.config().Dev); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	s.addMetrics(mux, s.config().Metrics.Pprof)
	return newGuard(s.config().Metrics.AllowedHosts, s.log, s.unauthenticated(broker.EndpointMetrics), own, admin).wrap(problem.Mux(mux, "")), nil
}

// adminMux is what the listener of operators serves. Health is for load balancers too,
// which have no token. The API takes the tokens and logins of users as well. Profiles, which show
// what is in memory, need the listener's token.
func (s *server) adminMux() (http.Handler, error) {
	c := s.config()
	token, err := c.Admin.LoadToken(c.Dev)
	if err != nil {
		return nil, err
	}
	guarded := http.NewServeMux()
	profiles := token.IsSet() || c.Dev
	s.addMetrics(guarded, profiles)
	if !profiles {
		guarded.HandleFunc("GET /debug/pprof/", func(w http.ResponseWriter, _ *http.Request) {
			problem.Write(w, problem.New(http.StatusForbidden, "profiles show what is in memory, so they need a token: set admin.token_file"))
		})
	}
	g := newGuard(c.Admin.AllowedHosts, s.log, s.unauthenticated(broker.EndpointAdmin), token)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.healthy)
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("/", g.wrap(problem.Mux(guarded, "")))
	mux.Handle("/api/", httpapi.New(s.broker, httpapi.Options{Logger: s.log, Authenticator: newOperators(s.auth, token), Reload: s.reloads.reloadForAPI}))
	return mux, nil
}

// unauthenticated returns what counts a request that shows none of the tokens of a listener.
func (s *server) unauthenticated(endpoint broker.Endpoint) func() {
	return func() { broker.CountUnauthenticated(s.broker, endpoint, broker.CodeUnauthenticated) }
}

// addMetrics adds the paths of metrics, and of Go's profiler.
func (s *server) addMetrics(mux *http.ServeMux, profiles bool) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
}

// newRegistry has all metrics of the process. Where the node has a name, each has it.
func (s *server) newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	var named prometheus.Registerer = registry
	if name := s.config().Cluster.Node; name != "" {
		named = prometheus.WrapRegistererWith(prometheus.Labels{"node": name}, registry)
	}
	named.MustRegister(
		metrics.Broker(s.broker), metrics.Auth(s.auth), metrics.Relay(s.relay), metrics.Webhooks(s.webhooks...), metrics.SockJS(s.sockjs),
		metrics.Origins(map[string]metrics.OriginChecker{"websocket": s.websocket, "events": s.events, "sockjs": s.sockjs}),
		metrics.Connections(s.gate), s.refusals.counts, metrics.Certificates(func() map[string]time.Time { return certificateEnds(s.certs, s.issuer) }), metrics.Build(version()), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if n := s.config().Metrics.Queues; n > 0 {
		named.MustRegister(metrics.Queues(s.relay.Driver().QueueAdmin, n))
	}
	return registry
}

// operators authenticates who shows the token of admin.listen, and all users.
type operators struct {
	broker.Authenticator
	token    config.Token
	operator *auth.Principal
}

func newOperators(users broker.Authenticator, token config.Token) broker.Authenticator {
	all, err := auth.NewPermissions(auth.AllGrants(), "admin")
	if err != nil || !token.IsSet() {
		return users
	}
	return &operators{Authenticator: users, token: token, operator: &auth.Principal{Name: "admin", Permissions: all, Method: "admin"}}
}

// Authenticate returns the operator for the token, and else who the credentials belong to.
func (o *operators) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	if o.token.Matches(tokenOf(c.Authorization)) {
		return o.operator, nil
	}
	return o.Authenticator.Authenticate(ctx, c)
}

func tokenOf(authorization string) string {
	token, _ := bearer(&http.Request{Header: http.Header{"Authorization": {authorization}}})
	return token
}
