package main

import (
	"crypto/tls"
	"slices"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestExternalNATSOverTLS uses a NATS server of its own, which wants TLS, a client's
// certificate, and a login.
func TestExternalNATSOverTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	nats, err := natsserver.NewServer(&natsserver.Options{
		Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true, Username: "node", Password: "a password of this test",
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12},
		TLS:       true, TLSVerify: true, TLSTimeout: 5,
	})
	require.NoError(t, err)
	nats.Start()
	defer func() {
		nats.Shutdown()
		nats.WaitForShutdown()
	}()
	require.True(t, nats.ReadyForConnections(10*time.Second))
	env := []string{
		"STOMPBOX_NATS_CA=" + cert, "STOMPBOX_NATS_TLS_CERT=" + cert, "STOMPBOX_NATS_TLS_KEY=" + key,
		"STOMPBOX_NATS_USER=node", "STOMPBOX_NATS_PASSWORD=a password of this test",
	}
	url := "tls://" + nats.Addr().String()
	a, b := serve(t, env, "--dev", "--nats", url), serve(t, env, "--dev", "--nats", url)
	near, far := test.DialAddress(t, a.tcp).Connect(), test.DialAddress(t, b.tcp).Connect()
	near.Subscribe("s", "/topic/a")
	far.Send(frames.SEND, "destination", "/topic/a", "over TLS")
	near.Message("over TLS")
	far.Send(frames.SEND, "destination", "/queue/a", "receipt", "r", "stored")
	far.Receipt("r")
	near.Subscribe("q", "/queue/a")
	near.Message("stored")
	for _, p := range []*process{a, b} {
		require.NotContains(t, p.stderr.String(), "a password of this test")
		p.stop(t)
	}
	for _, wrong := range [][]string{slices.Clip(env[:3]), env[3:]} { // no login, no certificate
		_, stderr, err := run(t, wrong, "serve", "--dev", "--nats", url, "--http", "127.0.0.1:0", "--data-dir", t.TempDir())
		require.Error(t, err)
		require.Contains(t, stderr, "cannot connect to NATS")
	}
}
