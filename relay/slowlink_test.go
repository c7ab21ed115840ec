package relay_test

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// stallingProxy passes a connection on until the test has it stall: then it takes
// nothing any more, as a link that is cut silently does.
type stallingProxy struct {
	mu      sync.Mutex
	stalled *sync.Cond
	stall   bool
	delay   time.Duration // of all that passes
	address string
}

func newStallingProxy(t *testing.T, backend string) *stallingProxy {
	t.Helper()
	return newSlowProxy(t, backend, 0)
}

func newSlowProxy(t *testing.T, backend string, delay time.Duration) *stallingProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &stallingProxy{address: l.Addr().String(), delay: delay}
	p.stalled = sync.NewCond(&p.mu)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", backend)
			if err != nil {
				_ = in.Close()
				continue
			}
			conns.Go(func() { p.pass(in, out) })
			conns.Go(func() { p.pass(out, in) })
		}
	})
	t.Cleanup(func() {
		p.set(false)
		_ = l.Close()
		conns.Wait()
	})
	return p
}

func (p *stallingProxy) set(stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stall = stall
	p.stalled.Broadcast()
}

func (p *stallingProxy) pass(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.stall {
			p.stalled.Wait()
		}
		p.mu.Unlock()
		if n > 0 {
			time.Sleep(p.delay)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// TestASlowLinkStopsNoOther: local subscribers get everything while the link to NATS
// takes nothing, what waits for it is bounded, and all heals.
func TestASlowLinkStopsNoOther(t *testing.T) {
	t.Parallel()
	hub := test.Start(t, test.Options{NATSPort: -1})
	link := newStallingProxy(t, strings.TrimPrefix(hub.Relay.ClientURL(), "nats://"))
	n := test.Start(t, test.Options{NATSURL: "nats://" + link.address})
	far, near, sender := test.Dial(t, hub).Connect(), test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	far.Subscribe("s", "/topic/small")
	near.Subscribe("s", "/topic/large")
	hungry := test.Dial(t, hub).Connect()
	hungry.Subscribe("s", "/topic/large") // so that the link has to carry it
	sender.Send(frames.SEND, "destination", "/topic/small", "before")
	far.Message("before")

	link.set(true)
	body := strings.Repeat("x", 1<<20)
	const count = 100
	for i := range count {
		sender.Send(frames.SEND, "destination", "/topic/large", "n", strconv.Itoa(i), body)
		require.Equal(t, strconv.Itoa(i), near.Message(body).Get("n"))
	}
	require.Positive(t, n.Broker.Stats().RelayErrors, "more than may wait")

	link.set(false)
	var arrived atomic.Bool
	var reading sync.WaitGroup
	reading.Go(func() {
		_, err := far.Next()
		arrived.Store(err == nil)
	})
	require.Eventually(t, func() bool {
		sender.Send(frames.SEND, "destination", "/topic/small", "after")
		return arrived.Load()
	}, test.Patience, 200*time.Millisecond)
	reading.Wait()
}

// TestReceiptOfASubscribeWaitsForTheOtherNodes: what is sent from then on arrives, however far
// away they are.
func TestReceiptOfASubscribeWaitsForTheOtherNodes(t *testing.T) {
	t.Parallel()
	hub := test.Start(t, test.Options{NATSPort: -1})
	link := newSlowProxy(t, strings.TrimPrefix(hub.Relay.ClientURL(), "nats://"), 20*time.Millisecond)
	far := test.Start(t, test.Options{NATSURL: "nats://" + link.address})
	for _, destination := range []string{"/topic/x", "/topic/y.*", "/queue/x", "/queue/x-user8f14e45f-ceea-467f-a0e6-123456789abc", "/app/x"} {
		sender, subscriber := test.Dial(t, hub).Connect(), test.Dial(t, far).Connect()
		subscriber.Subscribe("s", destination)
		sender.Send(frames.SEND, "destination", strings.ReplaceAll(destination, "*", "z"), "receipt", "r", "sent")
		sender.Receipt("r")
		subscriber.Message("sent")
	}
}
