package main

import (
	"encoding/base64"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// banned is a user who is banned, and tries to get past that while nodes start.
type banned struct {
	t     *testing.T
	token string
	stop  chan struct{}
	tries sync.WaitGroup
}

// ban bans alice at a node, and returns when that is kept.
func ban(t *testing.T, p *process) *banned {
	t.Helper()
	_, token := get(t, "http://"+p.http+"/dev/token?user=alice")
	test.DialAddress(t, p.tcp).Connect("Authorization", "Bearer "+token).Close()
	postBan(t, p, "user=alice")
	b := &banned{t: t, token: token}
	b.refused(p)
	return b
}

func postBan(t *testing.T, p *process, who string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+p.http+"/api/bans?for=1h&"+who, nil)
	require.NoError(t, err)
	request.SetBasicAuth("guest", "guest")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
}

// refused wants a node that knows of the ban.
func (b *banned) refused(p *process) {
	b.t.Helper()
	c := test.DialAddress(b.t, p.tcp)
	c.Send(frames.CONNECT, "accept-version", "1.2", "Authorization", "Bearer "+b.token)
	require.Equal(b.t, "banned", c.Error("you are banned until").Get("code"))
	require.Equal(b.t, http.StatusForbidden, b.ask(p, "/api/users"))
	require.Equal(b.t, http.StatusForbidden, b.ask(p, "/events?destination=/topic/a"))
}

// ask returns the status of an answer, or 0 without one.
func (b *banned) ask(p *process, path string) int {
	request, err := http.NewRequest(http.MethodGet, "http://"+p.http+path, nil)
	require.NoError(b.t, err)
	request.Header.Set("Authorization", "Bearer "+b.token)
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

// try connects to a node again and again until done, in all ways, and fails if it gets in.
func (b *banned) try(p *process) {
	if b.stop == nil {
		b.stop = make(chan struct{})
	}
	stop := b.stop
	way := func(in func() bool) {
		b.tries.Go(func() {
			for !in() {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
			b.t.Errorf("a banned user got in at %s", p.tcp)
		})
	}
	way(func() bool { return b.connects(p.tcp) })
	way(func() bool { return b.ask(p, "/api/users") == http.StatusOK })
	way(func() bool { return b.ask(p, "/events?destination=/topic/a") == http.StatusOK })
}

// connects reports whether a node answers CONNECT with CONNECTED.
func (b *banned) connects(address string) bool {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	defer c.Close()
	frame := frames.New(frames.CONNECT, "accept-version", "1.2", "Authorization", "Bearer "+b.token)
	if _, err := c.Write(frames.Append(nil, frame, frames.V12)); err != nil {
		return false
	}
	_ = c.SetReadDeadline(time.Now().Add(test.Patience))
	var f frames.Frame
	err = frames.NewReader(c, &frames.Limits{}).Read(&f)
	return err == nil && f.Command == frames.CONNECTED
}

// done waits until the nodes are ready, and wants them to know of the ban from then on.
func (b *banned) done(all ...*process) {
	b.t.Helper()
	for _, p := range all {
		p.ready(b.t)
		b.refused(p)
	}
	close(b.stop)
	b.stop = nil
	b.tries.Wait()
	for _, p := range all {
		test.DialAddress(b.t, p.tcp).Connect().Close() // others may
	}
}

// TestABanHoldsFromTheFirstConnectOn: of one node, of three that start together, and of one that
// joins with nothing of its own.
func TestABanHoldsFromTheFirstConnectOn(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	p := serve(t, nil, "--dev", "--data-dir", data)
	b := ban(t, p)
	for _, end := range []func(*testing.T){p.stop, nil} {
		if end == nil {
			end = p.kill
		}
		end(t)
		p = serve(t, nil, "--dev", "--data-dir", data)
		b.try(p)
		b.done(p)
	}
	p.stop(t)

	all := clusterOf(t, 3, []string{"STOMPBOX_QUEUES_REPLICAS=1"})
	b = ban(t, all.node(0))
	all.stop()
	for i := range 3 {
		all.start(i)
		b.try(all.node(i))
	}
	b.done(all.node(0), all.node(1), all.node(2))

	all.node(2).stop(t)
	require.NoError(t, os.RemoveAll(all.data[2]))
	all.start(2)
	b.try(all.node(2))
	b.done(all.node(2))
	all.stop()

	for down := range 3 { // two of three know of it, whichever they are
		up := []int{(down + 1) % 3, (down + 2) % 3}
		for _, i := range up {
			all.start(i)
			b.try(all.node(i))
		}
		b.done(all.node(up[0]), all.node(up[1]))
		all.node(up[0]).stop(t)
		all.node(up[1]).stop(t)
	}
}

// TestNoClientGetsInWhileBansAreUnknown: the first node of a cluster does not know of them before
// a majority is there.
func TestNoClientGetsInWhileBansAreUnknown(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3, nil)
	b := ban(t, all.node(0))
	all.stop()
	all.start(0)
	p := all.node(0)
	require.Eventually(t, func() bool {
		status := b.ask(p, "/api/users")
		require.NotEqual(t, http.StatusOK, status)
		return status == http.StatusServiceUnavailable
	}, test.Patience, 10*time.Millisecond)
	status, _ := get(t, "http://"+p.http+"/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	c := test.DialAddress(t, p.tcp)
	c.Send(frames.CONNECT, "accept-version", "1.2", "login", "guest", "passcode", "guest")
	f := c.Error("does not know yet who is banned")
	require.Equal(t, "unavailable", f.Get("code"))
	require.NotEmpty(t, f.Get("retry-after"))
	b.try(p)
	all.start(1)
	all.start(2)
	b.done(p, all.node(1), all.node(2))
	all.stop()
}

// TestABanReachesANodeThatDidNotHearOfIt: one that is paused while a user and a token are banned, ends
// their sessions when it goes on.
func TestABanReachesANodeThatDidNotHearOfIt(t *testing.T) {
	all := clusterOf(t, 3, nil)
	near, far := all.node(0), all.node(2)
	_, token := get(t, "http://"+near.http+"/dev/token?user=alice")
	session := test.DialAddress(t, far.tcp).Connect("Authorization", "Bearer "+token)
	require.NoError(t, far.cmd.Process.Signal(syscall.SIGSTOP))
	b := ban(t, near)
	require.NoError(t, far.cmd.Process.Signal(syscall.SIGCONT))
	session.Error("you are banned until")
	b.refused(far)
	all.stop()
}

// TestABanOfATokenHoldsOverARestart, and other tokens of its user are as good as before.
func TestABanOfATokenHoldsOverARestart(t *testing.T) {
	data := t.TempDir()
	p := serve(t, nil, "--dev", "--data-dir", data)
	_, other := get(t, "http://"+p.http+"/dev/token?user=alice")
	b := &banned{t: t}
	_, b.token = get(t, "http://"+p.http+"/dev/token?user=alice")
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(b.token, ".")[1])
	require.NoError(t, err)
	var claims struct{ JTI string }
	require.NoError(t, json.Unmarshal(payload, &claims))
	require.NotEmpty(t, claims.JTI)
	postBan(t, p, "token="+url.QueryEscape(claims.JTI))
	b.refused(p)
	p.stop(t)
	p = serve(t, nil, "--dev", "--data-dir", data)
	b.try(p)
	b.done(p)
	test.DialAddress(t, p.tcp).Connect("Authorization", "Bearer "+other).Close()
	p.stop(t)
}

// TestABanHoldsWithAnExternalServer, which keeps bans if it has JetStream. Without, a node is
// ready all the same, and has the bans that another node knows.
func TestABanHoldsWithAnExternalServer(t *testing.T) {
	t.Parallel()
	for _, keeps := range []bool{true, false} {
		t.Run("jetstream="+strconv.FormatBool(keeps), func(t *testing.T) {
			nats, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, JetStream: keeps, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
			require.NoError(t, err)
			nats.Start()
			t.Cleanup(nats.WaitForShutdown)
			t.Cleanup(nats.Shutdown)
			require.True(t, nats.ReadyForConnections(test.Patience))
			start := func() *process { return serve(t, []string{"STOMPBOX_NATS_URL=" + nats.ClientURL()}, "--dev") }
			first := start()
			first.ready(t)
			b := ban(t, first)
			if keeps {
				first.stop(t)
			}
			second := start()
			b.try(second)
			b.done(second)
			second.stop(t)
			if !keeps {
				first.stop(t)
				third := start()
				third.ready(t)
				require.True(t, b.connects(third.tcp), "no node knew of it any more")
				third.stop(t)
			}
		})
	}
}
