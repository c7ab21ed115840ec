package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/httpapi"
)

const (
	// requestTimeout is how long a client may take to send one request, its body
	// included, and answerTimeout how long the answer may take after that. Streams and
	// WebSockets have no such bounds: they end by heart-beats.
	requestTimeout = 30 * time.Second
	answerTimeout  = time.Minute
)

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout + answerTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func (s *server) serveHTTP(listener string, h http.Handler, guards ...func(*http.Server)) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		hs := newHTTPServer(httpapi.KeepUserNames(h), s.log)
		hs.HTTP2 = gateway.HTTP2Config(s.broker)
		for _, guard := range guards {
			guard(hs)
		}
		s.refusals.watch(listener)(hs)
		gateway.GuardRequests(hs)
		stopped := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(stopped)
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = hs.Shutdown(late)
		})
		err := hs.Serve(l)
		if !stop() {
			<-stopped
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}
