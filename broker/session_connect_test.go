package broker_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestConnectNegotiatesEachVersion(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	for accept, want := range map[string]string{"1.2,1.1,1.0": "1.2", "1.1": "1.1", "1.0,1.1": "1.1"} {
		c := test.Dial(t, n).Connect("accept-version", accept)
		require.Equal(t, want, c.Connected.Get("version"))
		require.Equal(t, "10000,10000", c.Connected.Get("heart-beat"))
		require.Equal(t, "guest", c.Connected.Get("user-name"))
		require.NotEmpty(t, c.Connected.Get("session"))
		require.Contains(t, c.Connected.Get("server"), "stompbox")
	}
	c := test.Dial(t, n)
	c.Raw("CONNECT\nlogin:guest\npasscode:guest\n\n\x00")
	f := c.Expect(frames.CONNECTED)
	require.Empty(t, f.Get("version"), "1.0 has no version header")

	c = test.Dial(t, n)
	c.Raw("CONNECT \nlogin: guest\npasscode: guest\n\n\n\x00SUBSCRIBE\ndestination: /topic/a\nreceipt: r\n\n\n\x00")
	require.Equal(t, "guest", c.Expect(frames.CONNECTED).Get("user-name"), "1.0 pads its values, in CONNECT too")
	require.Equal(t, "r", c.Expect(frames.RECEIPT).Get("receipt-id"))

	c = test.Dial(t, n)
	c.Raw("CONNECT\naccept-version:\nlogin:guest\npasscode:guest\n\n\x00")
	f = c.Error("no version in common")
	require.Equal(t, "1.0,1.1,1.2", f.Get("version"), "an empty list is not an absent one")

	c = test.Dial(t, n).Connect()
	c.Raw("SEND\nreceipt:a\\cb\ndestination:/topic/a\nbroken\n\n\x00")
	require.Equal(t, "a:b", c.Error("no colon").Get("receipt-id"))

	c = test.Dial(t, n)
	c.Send(frames.CONNECT, "accept-version", "2.0")
	f = c.Error("no version in common")
	require.Equal(t, "1.0,1.1,1.2", f.Get("version"))
}

// certified authenticates everybody by a client certificate that ends soon.
type certified struct{ *auth.Authenticator }

func (c certified) Authenticate(context.Context, auth.Credentials) (*auth.Principal, error) {
	permissions, err := auth.NewPermissions(auth.AllGrants(), "spring")
	return &auth.Principal{Name: "spring", Permissions: permissions, Method: auth.MethodCertificate, Expires: time.Now().Add(200 * time.Millisecond)}, err
}

// TestASessionEndsWithItsCertificate: the error names the certificate, as there is no token to renew.
func TestASessionEndsWithItsCertificate(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: certified{test.Authenticator(t)}}})
	f := test.Dial(t, n).Connect().Error("the client certificate has expired")
	require.Equal(t, "token-expired", f.Get("code"))
	require.NotContains(t, f.Get("message")+string(f.Body), "token")
}

func TestTheSessionEndsWhenItsTokenDoes(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	token := func(user string, ttl time.Duration, grants auth.Grants) string {
		return test.Token(t, user, ttl, grants)
	}
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", 6*time.Second, auth.Grants{}))
	refreshed := test.Dial(t, n).Connect("passcode", token("alice", 6*time.Second, auth.Grants{}), "login", "")
	refreshed.Subscribe("s", "/topic/a")
	refreshed.Send(frames.SEND, "destination", "/session/token", "receipt", "r", token("alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/*"}}))
	refreshed.Receipt("r")
	c.Error("token has expired")
	require.Contains(t, n.Log.String(), "code=token-expired")
	refreshed.Quiet()
	refreshed.Send(frames.SEND, "destination", "/topic/a", "x")
	refreshed.Error("no send permission") // the fresh token's permissions count

	c = test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", time.Hour, auth.Grants{}))
	c.Send(frames.SEND, "destination", "/session/token", token("bob", time.Hour, auth.Grants{}))
	c.Error("authentication failed")
	c = test.Dial(t, n).Connect("Authorization", "Bearer "+token("alice", time.Hour, auth.Grants{}))
	c.Subscribe("s", "/topic/a")
	c.Send(frames.SEND, "destination", "/session/token", token("alice", time.Hour, auth.Grants{Subscribe: []string{"/topic/b"}}))
	c.Error(`"/topic/a": no subscribe permission`)
}

func TestNoConnectInTime(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{ConnectTimeout: 200 * time.Millisecond}}})
	for _, c := range []*test.Client{test.Dial(t, n), test.DialTCP(t, n)} {
		c.Error("no CONNECT frame within 200ms")
	}
	dripping := test.DialTCP(t, n)
	go func() {
		for range 20 {
			if _, err := fmt.Fprint(rawOf{dripping}, "\n"); err != nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	dripping.Error("no CONNECT frame")
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxConnections: 1}}})
	first := test.Dial(t, n).Connect()
	second := test.Dial(t, n)
	require.Equal(t, "5", second.Expect(frames.ERROR).Get("retry-after"))
	second.Closed()
	require.Equal(t, 1013, second.CloseCode)
	test.DialTCP(t, n).Error("limit of 1 connections")
	first.Quiet()
}

// TestTokensThatEndInAgesDoNotEndSessions: a count of nanoseconds ends in 2262, and
// many a token is made to last longer.
func TestTokensThatEndInAgesDoNotEndSessions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", math.MaxInt64, auth.Grants{}))
	refreshed := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{}))
	refreshed.Send(frames.SEND, "destination", "/session/token", "receipt", "r", test.Token(t, "alice", math.MaxInt64, auth.Grants{}))
	refreshed.Receipt("r")
	short := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", 2*time.Second, auth.Grants{}))
	short.Error("token has expired") // so the others were looked at too
	c.Quiet()
	refreshed.Quiet()
}

// TestHeadersThatARelayForwards: Spring's relay sends all headers of its clients'
// frames in addition to its own.
func TestHeadersThatARelayForwards(t *testing.T) {
	t.Parallel()
	hash, err := auth.HashPasscode("pw")
	require.NoError(t, err)
	logins, err := auth.NewLogins([]auth.Login{{Name: "spring", PasscodeHash: hash, Relay: true, Grants: auth.AllGrants()}, {Name: "direct", PasscodeHash: hash, Grants: auth.AllGrants()}})
	require.NoError(t, err)
	authenticator := test.Authenticator(t)
	authenticator.Logins = logins
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: authenticator}})
	connect := func(login string) *test.Client {
		return test.DialTCP(t, n).Connect("authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{}), "login", login, "passcode", "pw")
	}
	relay, direct := connect("spring"), connect("direct")
	_, named := relay.Connected.Headers.Lookup("user-name")
	require.False(t, named, "the user behind the relay is not its login")
	require.Equal(t, "direct", direct.Connected.Get("user-name"))

	credentials := []string{"Authorization", "Bearer secret", "AUTHORIZATION", "secret", "Login", "alice", "passcode", "secret", " authorization", "secret", "proxy-authorization", "secret", "Cookie", "secret", "x-authorization", "kept"}
	direct.Subscribe("serve", "/app/**")
	direct.Subscribe("s", "/topic/**")
	direct.Subscribe("q", "/queue/forwarded")
	for _, dest := range []string{"/topic/forwarded", "/queue/forwarded", "/app/forwarded"} {
		relay.Send(frames.SEND, append([]string{"destination", dest}, credentials...)...)
		f := direct.Expect(frames.MESSAGE)
		require.Equal(t, dest, f.Get("destination"))
		require.Equal(t, "kept", f.Get("x-authorization"))
		for _, name := range []string{"Authorization", "AUTHORIZATION", "Login", "passcode", " authorization", "proxy-authorization", "Cookie"} {
			_, ok := f.Headers.Lookup(name)
			require.False(t, ok, "%s of a SEND to %s", name, dest)
		}
	}
	asker := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, "alice", time.Hour, auth.Grants{Send: []string{"/app/**"}}))
	asker.Send(frames.SUBSCRIBE, append([]string{"id", "1", "destination", "/app/forwarded"}, credentials...)...)
	f := direct.Expect(frames.MESSAGE)
	require.Equal(t, "alice", f.Get("user"))
	require.Equal(t, "kept", f.Get("x-authorization"))
	require.Empty(t, f.Get("Authorization")+f.Get("AUTHORIZATION")+f.Get("Login")+f.Get("passcode"))
}

// TestLoginsThatAreBusyMayTryAgain: who is sent away may well have the right passcode.
func TestLoginsThatAreBusyMayTryAgain(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Authenticator: test.NewBusyLogins(t)}})
	for _, c := range []*test.Client{test.Dial(t, n), test.DialTCP(t, n)} {
		c.Send(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest")
		f := c.Error("too many logins are being checked; try again in 6.5s")
		require.Equal(t, "7", f.Get("retry-after"))
	}
	c := test.Dial(t, n)
	c.Send(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest")
	c.Error("too many logins")
	require.Equal(t, int(broker.CloseRetry), c.CloseCode)
	require.EqualValues(t, 3, n.Broker.Stats().Errors[broker.CodeLoginBusy])
}
