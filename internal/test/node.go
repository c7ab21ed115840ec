// Package test runs real brokers for tests: an embedded NATS server, a
// broker, and its WebSocket and TCP gateways on free loopback ports.
package test

import (
	"cmp"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/gateway"
	"github.com/stompbox/stompbox/internal/test/local"
	"github.com/stompbox/stompbox/relay"
)

// Secret signs the tokens of tests.
const Secret = "a secret of tests, with more than 32 bytes"

// Options change a node from its defaults.
type Options struct {
	Broker    broker.Options
	WebSocket gateway.WebSocketOptions
	NATSURL   string // of another node or an external server
	NATSPort  int    // -1 has the embedded server listen
	Queues    relay.QueueSettings
	Histories []driver.HistoryPolicy
	Name      string
	DataDir   string // of the embedded server; default a new one
	// Wrap changes the backend, such as to have it fail.
	Wrap func(driver.Driver) driver.Driver
}

// Node is one running broker.
type Node struct {
	Broker    *broker.Broker
	Relay     *relay.Relay
	WebSocket string // URL
	TCP       string // address
	Log       *Log
}

// Log collects log lines.
type Log = local.Log

// Start runs a node until the test ends, and then checks that it stops.
func Start(t testing.TB, o Options) *Node {
	t.Helper()
	n := &Node{Log: new(Log)}
	logger := slog.New(slog.NewTextHandler(n.Log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	options := relay.Options{URL: o.NATSURL, Name: o.Name, Queues: o.Queues, Histories: relay.HistorySettings{Policies: o.Histories}, Logger: logger}
	if o.NATSURL != "" {
		n.Relay, err = relay.Dial(options)
	} else {
		n.Relay, err = relay.Embed(relay.EmbeddedOptions{DataDir: cmp.Or(o.DataDir, t.TempDir()), MaxPayload: 8 << 20, Host: "127.0.0.1", Port: o.NATSPort}, options)
	}
	require.NoError(t, err)
	if o.Broker.Authenticator == nil {
		o.Broker.Authenticator = Authenticator(t)
	}
	o.Broker.Driver, o.Broker.Logger = n.Relay.Driver(), logger
	if o.Wrap != nil {
		o.Broker.Driver = o.Wrap(o.Broker.Driver)
	}
	o.Broker.Name = o.Name
	n.Broker, err = broker.New(o.Broker)
	require.NoError(t, err)

	ws := gateway.NewWebSocket(n.Broker, o.WebSocket)
	server := httptest.NewServer(ws)
	n.WebSocket = "ws" + strings.TrimPrefix(server.URL, "http")
	tcp := gateway.NewTCP(n.Broker, gateway.TCPOptions{Logger: logger})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.TCP = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- tcp.Serve(ctx, l) }()

	t.Cleanup(func() {
		late, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		require.NoError(t, n.Broker.Shutdown(late))
		cancel()
		require.NoError(t, <-served)
		server.Close()
		ws.Wait()
		tcp.Wait()
		n.Relay.Close()
	})
	return n
}

// History is a policy of histories, for Options.
func History(t testing.TB, name, match string, maxMessages int64) driver.HistoryPolicy {
	t.Helper()
	pattern, err := destination.ParsePattern(match)
	require.NoError(t, err)
	return driver.HistoryPolicy{Name: name, Match: pattern, MaxMessages: maxMessages}
}

// guestHash is as cheap as bcrypt can be: tests start hundreds of nodes, each with its
// own logins, on few processors.
var guestHash = sync.OnceValue(func() string {
	hash, err := bcrypt.GenerateFromPassword([]byte("guest"), bcrypt.MinCost)
	if err != nil {
		panic(err) // it only fails for passcodes that are too long
	}
	return string(hash)
})

// Authenticator accepts tokens signed with Secret, and guest/guest for all.
func Authenticator(t testing.TB) *auth.Authenticator {
	t.Helper()
	logins, err := auth.NewLogins([]auth.Login{{Name: "guest", PasscodeHash: guestHash(), Grants: auth.AllGrants()}})
	require.NoError(t, err)
	tokens, err := auth.NewVerifier(auth.VerifierOptions{Keys: auth.StaticKeys{key(t)}, DefaultGrants: auth.AllGrants()})
	require.NoError(t, err)
	return &auth.Authenticator{Logins: logins, Tokens: tokens}
}

func key(t testing.TB) auth.Key {
	t.Helper()
	k, err := auth.NewSecretKey("", "HS256", []byte(Secret))
	require.NoError(t, err)
	return k
}

// Token returns a token for the user; no grants mean all.
func Token(t testing.TB, user string, ttl time.Duration, grants auth.Grants) string {
	t.Helper()
	token, err := auth.Sign(key(t), auth.Claims{Subject: user, TTL: ttl, Grants: grants})
	require.NoError(t, err)
	return token
}

var _ io.Writer = (*Log)(nil)
