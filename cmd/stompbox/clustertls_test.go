package main

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestClusterOverTLS: routes are encrypted, and who cannot show a certificate of
// the CA gets no route; the users of a node that dies leave with it.
func TestClusterOverTLS(t *testing.T) {
	cert, key, pool := certificate(t)
	c := clusterOf(t, 3, []string{
		"STOMPBOX_CLUSTER_TLS_CERT=" + cert, "STOMPBOX_CLUSTER_TLS_KEY=" + key, "STOMPBOX_CLUSTER_TLS_CA=" + cert,
		"STOMPBOX_PRESENCE_DESTINATIONS=/topic/room.*",
	})
	near, far := test.DialAddress(t, c.node(0).tcp).Connect(), test.DialAddress(t, c.node(1).tcp).Connect()
	near.Subscribe("s", "/topic/a")
	far.Send(frames.SEND, "destination", "/topic/a", "over TLS")
	near.Message("over TLS")

	conn, err := tls.Dial("tcp", c.routes[0], &tls.Config{RootCAs: pool})
	if err == nil { // with TLS 1.3 the refusal comes with the first read
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	require.ErrorContains(t, err, "certificate required")

	watcher := test.DialAddress(t, c.node(0).tcp).Connect()
	watcher.Subscribe("p", "/topic/$presence/room.1")
	require.Equal(t, "present", watcher.Expect(frames.MESSAGE).Get("event"))
	far.Subscribe("r", "/topic/room.1")
	require.Equal(t, "join", watcher.Expect(frames.MESSAGE).Get("event"))
	c.node(1).kill(t)
	require.Equal(t, "leave", watcher.Expect(frames.MESSAGE).Get("event"))
	c.start(1)
	c.node(1).ready(t)
	c.stop()
}
