package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/internal/clientaddr"
	"github.com/stompbox/stompbox/internal/config"
	"github.com/stompbox/stompbox/internal/problem"
)

// notifyHangups catches SIGHUP, which asks for a reload, so that it does not end the process.
func notifyHangups() (hangups <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// reloader reads the configuration again while the server runs.
type reloader struct {
	*server
	load loader // nil: it cannot be read again

	waiting sync.Mutex // guards the following
	next    *reloadRun // that has not begun; nil: there is none

	mu      sync.Mutex // held while one is under way; guards the following
	stopped bool
	where   *config.Locations // of the configuration in force
}

// loader reads a configuration, and where each key is set.
type loader func() (*config.Config, *config.Locations, error)

// reloaded says what a reload has done.
type reloaded struct {
	// Changed are keys that have other values now, or name files that hold something else.
	Changed []string `json:"changed"`
	// NeedRestart are keys whose new values hold after a restart.
	NeedRestart []config.KeyReason `json:"need_restart"`
	// Sessions were asked about their permissions: of them so many ended, and so many
	// subscriptions too.
	Sessions int `json:"sessions"`
	Ended    int `json:"sessions_ended"`
	Revoked  int `json:"subscriptions_ended"`
	// Warnings are what did not go as it should, though the rest is in force.
	Warnings []string `json:"warnings,omitempty"`
}

var errNoReload = errors.New("the broker is stopping, or its configuration cannot be read again")

// reloadRun is one reload, which all share who ask for one before it begins.
type reloadRun struct {
	done   chan struct{} // closed at its end, after the following are set
	result *reloaded
	err    error
}

// reload reads the configuration again, as soon as a reload that is under way is over. Where anything
// is wrong with it, nothing changes.
func (s *reloader) reload(ctx context.Context) (*reloaded, error) {
	s.waiting.Lock()
	run := s.next
	if run == nil {
		run = &reloadRun{done: make(chan struct{})}
		s.next = run
		go s.perform(context.WithoutCancel(ctx), run)
	}
	s.waiting.Unlock()
	select {
	case <-run.done:
		return run.result, run.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// perform does a reload, when it is its turn.
func (s *reloader) perform(ctx context.Context, run *reloadRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.Lock()
	s.next = nil // who asks from here on may have changed what is about to be read
	s.waiting.Unlock()
	run.result, run.err = s.reloadAloneLocked(ctx)
	close(run.done)
}

// reloadAloneLocked is one reload.
func (s *reloader) reloadAloneLocked(ctx context.Context) (*reloaded, error) {
	if s.stopped || s.load == nil {
		return nil, errNoReload
	}
	s.systemd.reloading()
	result, err := s.reloadLocked(ctx)
	if err != nil {
		s.log.Error("the configuration was not reloaded; the one before goes on", "error", err)
		s.systemd.reloaded("serving; the last reload failed: " + err.Error())
		return nil, err
	}
	s.log.Info("the configuration was reloaded", "changed", result.Changed, "sessions", result.Sessions, "sessions_ended", result.Ended, "subscriptions_ended", result.Revoked)
	for _, text := range result.Warnings {
		s.log.Warn("the configuration was reloaded in part", "why", text)
	}
	for _, key := range result.NeedRestart {
		s.log.Warn("a changed key waits for a restart", "key", key.Key, "why", key.Why)
	}
	s.systemd.reloaded("serving")
	return result, nil
}

// reloadLocked prepares all that can fail, and then puts it in force.
func (s *reloader) reloadLocked(ctx context.Context) (*reloaded, error) {
	next, where, err := s.load()
	if err != nil {
		return nil, err
	}
	c, changed, kept, err := s.config().Reload(next, s.started)
	if err != nil {
		return nil, err
	}
	for _, key := range config.SumFixedFiles(c).ChangedSince(s.fixedFiles) {
		kept = append(kept, config.KeyReason{Key: key, Why: "what the file holds is read at the start"})
	}
	files := config.SumReloadedFiles(c)
	changed = withKeys(changed, files.ChangedSince(s.files))
	useCertificates, err := s.certs.load(c)
	if err != nil {
		return nil, err
	}
	useClientCAs, err := s.clients.loadClientCAs(c)
	if err != nil {
		return nil, err
	}
	proxies, stompProxies, err := c.Proxies()
	if err != nil {
		return nil, err
	}
	parts, err := newAuthParts(context.WithoutCancel(ctx), c, s.log, s.parts)
	if err != nil {
		return nil, err
	}
	if err := s.broker.Reconfigure(brokerOptions(c, s.memory)); err != nil {
		parts.closeUnlessOf(s.parts)
		return nil, err
	}
	// From here on nothing fails.
	useCertificates()
	useClientCAs()
	s.current.Store(c)
	overridden := where.OverriddenSince(s.where)
	s.files, s.where = files, where
	s.useSettings(c, proxies, stompProxies)
	renewal := s.replaceAuth(parts)
	result := &reloaded{Changed: changed, NeedRestart: kept, Sessions: renewal.Sessions, Ended: renewal.Ended, Revoked: renewal.Revoked}
	if parts.stale {
		result.Warnings = append(result.Warnings, parts.staleWarning())
	}
	result.Warnings = slices.Concat(result.Warnings, overridden, config.WithoutEffect(next), s.certs.untimely())
	if result.Changed == nil {
		result.Changed = []string{}
	}
	if result.NeedRestart == nil {
		result.NeedRestart = []config.KeyReason{}
	}
	return result, nil
}

// withKeys adds more keys to a sorted list.
func withKeys(keys, more []string) []string {
	keys = append(keys, more...)
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (s *reloader) useSettings(c *config.Config, proxies, stompProxies clientaddr.Proxies) {
	level, _ := c.Log.ParseLevel() // checked by Load
	s.level.Set(level)
	s.proxies.http.Set(proxies)
	s.proxies.stomp.Set(stompProxies)
	origins := allowedOrigins(c)
	s.websocket.SetAllowedOrigins(origins)
	s.events.SetAllowedOrigins(origins)
	s.sockjs.SetAllowedOrigins(origins)
}

// replaceAuth has credentials be checked by other parts, and holds the sessions that are
// open to them.
func (s *reloader) replaceAuth(parts authParts) broker.Renewal {
	previous := s.parts
	s.parts = parts
	s.clients.useClientCAs(parts)
	s.auth.Replace(parts.authenticator)
	renewal := s.broker.Reauthorize(parts.authenticator.Renew)
	if renewal.Busy > 0 {
		s.log.Warn("sessions that wait for the message store have their permissions looked at when they go on", "sessions", renewal.Busy)
	}
	previous.closeUnlessOf(parts)
	return renewal
}

// reloadOn reloads at each hangup, and has certificates follow their files, until what it
// returns is called, which may be several times.
func (s *reloader) reloadOn(hangups <-chan os.Signal) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wait := s.certs.watch(ctx, s.log)
	s.issuer.begin(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.clients.watchClientCAs(ctx) })
	watching.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				_, _ = s.reload(ctx) // the log has the outcome
			}
		}
	})
	return func() {
		cancel()
		watching.Wait()
		wait()
		s.mu.Lock()
		s.stopped = true
		s.mu.Unlock()
	}
}

// reloadForAPI is reload for a request.
func (s *reloader) reloadForAPI(ctx context.Context) (any, error) {
	result, err := s.reload(ctx)
	switch {
	case errors.Is(err, errNoReload):
		return nil, problem.New(http.StatusServiceUnavailable, err.Error())
	case err != nil:
		return nil, problem.Coded(problem.CodeConfiguration, err.Error())
	}
	return result, nil
}
