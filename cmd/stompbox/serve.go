package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/certfile"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/listening"
	"github.com/stompbox/stompbox/internal/tracing"
	"github.com/stompbox/stompbox/internal/trim"
	"github.com/stompbox/stompbox/metrics"
	"github.com/stompbox/stompbox/relay"
	"github.com/stompbox/stompbox/webhook"
)

// serveHelp is for who starts the broker, and for its manual page.
const serveHelp = `Run the broker, until a signal ends it.

It reads the file of --config, or stompbox.yaml of the current folder where there is one. A
STOMPBOX_* variable wins over the file (STOMPBOX_HTTP_LISTEN is http.listen), and a flag over both.
Everything wrong with them is named, and then nothing is started; stompbox config check and
stompbox doctor look without starting. With --dev no configuration is needed. Messages are kept
in data_dir, which one process uses at a time. The log goes to standard error.

SIGTERM and SIGINT end it: clients are sent away over drain.window, and what they hold is handed
on. SIGHUP has it read the configuration and its files again, without dropping a connection;
stompbox reload does so too, and shows the result.

The exit code is 0 after a signal that ends it, and 1 if it could not start, or had to end because
of an error; the last line on standard error says why.`

func newServe() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the broker",
		Long:    serveHelp,
		Example: "  stompbox serve --dev\n  stompbox serve -c stompbox.yaml",
		Args:    cobra.NoArgs,
	}
	flags := newConfigFlags(cmd.Flags()).addServer()
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		hangups, stop := notifyHangups()
		defer stop()
		c, where, err := flags.loadToServe()
		if err != nil {
			return err
		}
		s, err := newServer(cmd.Context(), c)
		if err != nil {
			return err
		}
		s.reloads.load, s.reloads.where = flags.loadToServe, where
		return s.run(cmd.Context(), hangups)
	}
	return cmd
}

// server is everything that runs in one process.
type server struct {
	current    atomic.Pointer[config.Config]
	started    *config.Config  // current at the start
	fixedFiles config.FileSums // at the start
	files      config.FileSums // that were read for what is in force
	log        *slog.Logger
	level      slog.LevelVar
	relay      *relay.Relay
	broker     *broker.Broker
	auth       *auth.Replaceable
	parts      authParts // of auth
	certs      certificates
	memory     int64                 // that the process may use, in bytes, or 0
	issuer     *issuer               // nil: no certificates are issued
	clientCAs  *certfile.Authorities // nil: clients show no certificates
	proxies    struct{ http, stomp *clientaddr.List }
	websocket  *gateway.WebSocket
	events     *gateway.Events
	sockjs     *gateway.SockJS
	tcp        *gateway.TCP
	api        http.Handler
	registry   *prometheus.Registry
	tracer     *tracing.Tracer // nil: nothing is traced
	gate       *connectionGate
	webhooks   []*webhook.Webhook
	listeners  []listener
	systemd    *systemd
	reloads    reloader
	refusals   refusals
	clients    clientCertificates
}

// config is the configuration in force.
func (s *server) config() *config.Config { return s.current.Load() }

// listener is one open port and what serves it until ctx is done.
type listener struct {
	name  string
	l     net.Listener
	serve func(ctx context.Context, l net.Listener) error
}

// newServer opens everything, so that what cannot work fails before anything is
// served.
func newServer(ctx context.Context, c *config.Config) (*server, error) {
	s := new(server)
	s.reloads.server, s.clients.server = s, s
	s.refusals.server, s.refusals.counts = s, metrics.NewListeners()
	s.current.Store(c)
	s.started, s.fixedFiles, s.files = c, config.SumFixedFiles(c), config.SumReloadedFiles(c)
	s.log = newLeveledLogger(c, os.Stderr, &s.level)
	s.systemd = newSystemd(s.log)
	if err := s.setUp(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// listen opens the ports.
func (s *server) listen() error {
	if err := s.listenForOperators(); err != nil {
		return err
	}
	c := s.config()
	proxies, stompProxies, err := c.Proxies()
	if err != nil {
		return err
	}
	s.proxies.http, s.proxies.stomp = clientaddr.NewList(proxies), clientaddr.NewList(stompProxies)
	mux, sender := s.mux(), s.proxies.http // of the PROXY protocol
	shared := func(string) bool { return false }
	if !c.HTTP.ProxyProtocol {
		mux, sender, shared = s.proxies.http.Handler(mux), nil, s.proxies.http.Trusts
	}
	if err := s.open("http", c.HTTP.Listen, sender, shared, s.serveHTTP("http", mux, s.gate.guard, s.newAddressGate(shared).guard(c.HTTP.ProxyProtocol))); err != nil {
		return err
	}
	if s.issuer != nil && c.ACME.HTTPListen != "" { // else that challenge is not offered
		if err := s.open("acme.http", c.ACME.HTTPListen, nil, nil, s.serveHTTP("acme.http", s.issuer.handler(), s.guardAddresses())); err != nil {
			return err
		}
	}
	if sender = s.proxies.stomp; !c.STOMP.ProxyProtocol {
		sender = nil
	}
	return s.open("stomp", c.STOMP.Listen, sender, nil, s.tcp.Serve)
}

// newAddressGate bounds the connections of one address to a listener. Those of shared addresses
// are not bounded.
func (s *server) newAddressGate(shared func(remote string) bool) *addressGate {
	return newAddressGate(func() int { return s.config().Limits.AddressConnections }, shared, s.refusals.addressIsFull)
}

// guardAddresses is newAddressGate for a listener that is behind no proxies.
func (s *server) guardAddresses() func(*http.Server) {
	return s.newAddressGate(func(string) bool { return false }).guard(false)
}

// listenForOperators opens the ports of metrics and of the API for operators.
func (s *server) listenForOperators() error {
	c := s.config()
	forMetrics, err := s.metricsMux()
	if err != nil {
		return err
	}
	if err := s.open("metrics", c.Metrics.Listen, nil, nil, s.serveHTTP("metrics", forMetrics, s.guardAddresses())); err != nil {
		return err
	}
	forAdmin, err := s.adminMux()
	if err != nil {
		return err
	}
	return s.open("admin", c.Admin.Listen, nil, nil, s.serveHTTP("admin", forAdmin, s.guardAddresses()))
}

// vanishedAfter is after how long the peer of an answer that goes on is given up whose
// system does not answer any more: two heart-beats, or what a write may take.
func (s *server) vanishedAfter() time.Duration {
	c := s.config()
	if c.Limits.WriteTimeout <= 0 {
		return 0
	}
	return max(c.Limits.WriteTimeout, 2*c.Events.HeartBeat, 2*c.SockJS.HeartBeat)
}

// listenKey is the setting with the address of a listener.
func listenKey(name string) string {
	if name == "acme.http" {
		return "acme.http_listen"
	}
	return name + ".listen"
}

// open opens a port. A list of proxies is of those that send the PROXY protocol; shared reports
// whether an address is of one that sends headers.
func (s *server) open(name, address string, proxies *clientaddr.List, shared func(remote string) bool, serve func(context.Context, net.Listener) error) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return listening.Error(listenKey(name), address, err)
	}
	l = gateway.NewListener(l, s.vanishedAfter())
	if proxies != nil {
		l = proxies.Listener(l, s.refusals.header(name))
	}
	t := s.tlsConfig(name)
	if sessions := name == "stomp"; t != nil || !sessions {
		l = &gateway.RequestListener{Listener: l, Broker: s.broker, Encrypted: t != nil, Sessions: sessions, Shared: shared, TLS: s.refusals.tlsToPlain(name)}
	}
	if t != nil {
		l = tls.NewListener(l, t)
	}
	s.listeners = append(s.listeners, listener{name, l, serve})
	return nil
}

// tlsConfig returns what a listener encrypts with, or nil.
func (s *server) tlsConfig(name string) *tls.Config {
	t := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: nextProtos(name)}
	switch pair := s.certs[name+".tls"]; {
	case pair != nil:
		t.GetCertificate = pair.GetCertificate
	case s.config().ACME.For(name):
		t.GetCertificate, t.NextProtos = s.issuer.GetCertificate, s.issuer.nextProtos(t.NextProtos)
	default:
		return nil
	}
	if name == "stomp" && s.clientCAs != nil {
		s.clients.askForCertificates(t)
	}
	return t
}

// nextProtos offers HTTP/2, on which a browser has as many streams as it likes. For
// a WebSocket it asks for HTTP/1.1, the version that upgrades.
func nextProtos(name string) []string {
	if name == "stomp" {
		return nil
	}
	return []string{"h2", "http/1.1"}
}

// run serves until ctx is done or a listener fails, and then drains.
func (s *server) run(ctx context.Context, hangups <-chan os.Signal) error {
	defer s.close()
	s.announce()
	stopReloads := s.reloads.reloadOn(hangups)
	defer stopReloads()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	failed := make(chan error, len(s.listeners))
	for _, l := range s.listeners {
		go func() { failed <- l.serve(serving, l.l) }()
	}
	trimmed := make(chan struct{})
	go func() { defer close(trimmed); trim.Run(serving) }()
	s.systemd.ready(s.broker.Alive)
	var failure error
	select {
	case <-ctx.Done():
		s.log.Info("draining", "sessions", s.broker.Stats().Sessions, "window", s.config().Drain.Window, "timeout", s.config().Drain.Timeout)
	case failure = <-failed:
		failed <- nil
	case <-s.relay.Lost():
		failure = s.relay.LostError()
		s.log.Error("ending, since there is no connection to NATS any more", "error", failure)
	}
	stopReloads()
	s.systemd.stopping(s.config().Drain.Window + s.config().Drain.Timeout)
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config().Drain.Window+s.config().Drain.Timeout)
	defer cancel()
	// New connections are refused from here on; open ones get a notice.
	if err := s.broker.Shutdown(late); err != nil {
		s.log.Warn("some clients did not read their last messages in time", "timeout", s.config().Drain.Timeout)
	}
	stop()
	for range s.listeners {
		if err := <-failed; failure == nil {
			failure = err
		}
	}
	<-trimmed
	s.websocket.Wait()
	s.events.Wait()
	s.sockjs.Wait()
	s.tcp.Wait()
	s.log.Info("stopped")
	return failure
}

// announce says where everything is, for people on stdout and for logs.
func (s *server) announce() {
	args := []any{"version", version(), "id", s.broker.Node(), "dev", s.config().Dev}
	for _, l := range s.listeners {
		args = append(args, l.name, l.l.Addr().String())
	}
	if url := s.relay.ClientURL(); s.config().NATS.Listen != "" {
		args = append(args, "nats", url)
	}
	s.log.Info("stompbox is serving", args...)
	if !s.config().Dev {
		return
	}
	for _, l := range s.listeners {
		switch l.name {
		case "http":
			fmt.Printf("\n  Chat page   http://%s/\n  WebSocket   ws://%s/ws   (login guest, passcode guest, or a token)\n  A token     curl 'http://%s/dev/token?user=alice'\n", l.l.Addr(), l.l.Addr(), l.l.Addr())
		case "stomp":
			fmt.Printf("  STOMP/TCP   %s\n", l.l.Addr())
		}
	}
	fmt.Println()
}

// close ends what is left, in the reverse order of newServer.
func (s *server) close() {
	for _, l := range s.listeners {
		_ = l.l.Close()
	}
	if s.broker != nil && !s.broker.Draining() {
		_ = s.broker.Shutdown(context.Background())
	}
	for _, hook := range s.webhooks {
		hook.Close()
	}
	s.tracer.Close()
	if s.relay != nil {
		s.relay.Close()
	}
	s.parts.close()
	s.systemd.close()
}
