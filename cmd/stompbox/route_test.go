package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test"
)

// foreignRoute is a NATS server of someone else that joins a cluster with what it has.
func foreignRoute(t *testing.T, address string, user *url.Userinfo) *natsserver.Server {
	t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{
		ServerName: "foreign", Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
		Cluster: natsserver.ClusterOpts{Name: "stompbox", Host: "127.0.0.1", Port: -1, PoolSize: -1},
		Routes:  []*url.URL{{Scheme: "nats-route", Host: address, User: user}},
	})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(s.WaitForShutdown)
	t.Cleanup(s.Shutdown)
	require.True(t, s.ReadyForConnections(test.Patience))
	return s
}

// overhear subscribes to what nodes say to each other every two seconds.
func overhear(t *testing.T, s *natsserver.Server) *nats.Subscription {
	t.Helper()
	c, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(c.Close)
	sub, err := c.SubscribeSync("stompbox.>")
	require.NoError(t, err)
	return sub
}

// TestNoForeignServerJoinsACluster without the password of the nodes.
func TestNoForeignServerJoinsACluster(t *testing.T) {
	const password = "a password of this test"
	routes := test.Address(t)
	p := serve(t, []string{
		"STOMPBOX_AUTH_JWT_SECRET=" + benchSecret, "STOMPBOX_CLUSTER_LISTEN=" + routes, "STOMPBOX_CLUSTER_NODE=n0",
		"STOMPBOX_CLUSTER_PEERS=" + routes + "," + test.Address(t), "STOMPBOX_CLUSTER_USER=route", "STOMPBOX_CLUSTER_PASSWORD=" + password,
	})
	p.says(t, "stompbox is serving")
	for _, user := range []*url.Userinfo{nil, url.User("route"), url.UserPassword("route", ""), url.UserPassword("", password), url.UserPassword("route", "another password")} {
		s := foreignRoute(t, routes, user)
		_, err := overhear(t, s).NextMsg(5 * time.Second)
		require.ErrorIs(t, err, nats.ErrTimeout, "%v", user)
		s.Shutdown()
	}
	s := foreignRoute(t, routes, url.UserPassword("route", password))
	_, err := overhear(t, s).NextMsg(test.Patience)
	require.NoError(t, err)
	s.Shutdown()
	p.stop(t)
}

// TestServeRefusesPasswordsThatKeepNoOneOut beyond loopback.
func TestServeRefusesPasswordsThatKeepNoOneOut(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(" \n"), 0o600))
	for _, listens := range [][]string{
		{"STOMPBOX_CLUSTER_LISTEN=0.0.0.0:6222", "STOMPBOX_CLUSTER_NODE=n0", "STOMPBOX_CLUSTER_USER=route", "STOMPBOX_CLUSTER_PASSWORD"},
		{"STOMPBOX_NATS_LISTEN=0.0.0.0:4222", "STOMPBOX_NATS_USER=app", "STOMPBOX_NATS_PASSWORD"},
	} {
		variable := listens[len(listens)-1]
		for setting, says := range map[string]string{"_FILE=" + file: "is blank", "=a short one": "it has 11 bytes, and needs 20", "=" + strings.Repeat("p", 42): "easy to guess"} {
			env := append([]string{"STOMPBOX_AUTH_JWT_SECRET=" + benchSecret, variable + setting}, listens[:len(listens)-1]...)
			for _, command := range [][]string{{"serve", "--data-dir", t.TempDir()}, {"config", "check"}} {
				_, stderr, err := run(t, env, command...)
				require.Error(t, err)
				require.Contains(t, stderr, says)
			}
		}
	}
}
