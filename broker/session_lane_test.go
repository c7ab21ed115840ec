package broker_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// leaderless is a store that loses a message once, as a queue without a leader does, and
// says so when release is closed.
type leaderless struct {
	driver.QueueStore

	mu      sync.Mutex // guards the following
	lose    map[string]bool
	release chan struct{}
}

func (l *leaderless) released() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.release
}

// hold delays the report of what is lost until what it returns is called.
func (l *leaderless) hold() (tell func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	release := make(chan struct{})
	l.release = release
	return func() { close(release) }
}

func (l *leaderless) loses(m *driver.Message) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	lost := l.lose[string(m.Body)]
	delete(l.lose, string(m.Body))
	return lost
}

func (l *leaderless) Store(m *driver.Message, o driver.StoreOptions, done func(error)) {
	if !l.loses(m) {
		l.QueueStore.Store(m, o, done)
		return
	}
	release := l.released()
	go func() {
		<-release
		done(driver.ErrUnavailable)
	}()
}

func (l *leaderless) StoreAll(ctx context.Context, all []driver.StoreRequest) error {
	for _, r := range all {
		if l.loses(r.Message) {
			<-l.released()
			return driver.ErrUnavailable
		}
	}
	return l.QueueStore.StoreAll(ctx, all)
}

// TestRepeatedSENDsKeepTheirOrder: a client that does not know what became of its pipelined
// SENDs repeats them with their dedup-ids.
func TestRepeatedSENDsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	store := &leaderless{lose: map[string]bool{"first 0": true, "queue 7": true, "history 7": true, "limited 20": true}}
	n := test.Start(t, test.Options{Histories: test.Histories(t), Wrap: func(d driver.Driver) driver.Driver {
		store.QueueStore = d.Queues
		d.Queues = store
		return d
	}})
	const count = 30
	for name, dest := range map[string]string{"queue": "/queue/order", "history": "/topic/chat.order", "limited": "/queue/memory", "first": "/queue/first"} {
		consumer := test.Dial(t, n).Connect()
		consumer.Subscribe("s", dest, "ack", "client")
		connect := func() *test.Client { return test.DialTCP(t, n).Connect() }
		// send pipelines what was not confirmed, and returns how far it was, and whether all was.
		send := func(from int, then func()) (confirmed int, all bool) {
			c := connect()
			var wire []byte
			for i := from; i < count; i++ {
				f := frames.New(frames.SEND, "destination", dest, "receipt", strconv.Itoa(i), "dedup-id", strconv.Itoa(i))
				if name == "limited" {
					f.Headers = f.Headers.With("persistent", "false")
				}
				f.Body = []byte(name + " " + strconv.Itoa(i))
				wire = frames.Append(wire, f, frames.V12)
			}
			_, err := c.TryRaw(wire)
			require.NoError(t, err)
			then()
			for i := from; i < count; i++ {
				f, err := c.Next()
				require.NoError(t, err)
				if f.Command == frames.ERROR {
					require.Equal(t, strconv.Itoa(i), f.Get("receipt-id"), "the first that failed")
					require.NotEmpty(t, f.Get("retry-after"))
					return i, false
				}
				require.Equal(t, strconv.Itoa(i), f.Get("receipt-id"))
			}
			return count, true
		}
		received, tell := n.Broker.Stats().Received, store.hold()
		confirmed, all := send(0, func() {
			require.Eventually(t, func() bool { return n.Broker.Stats().Received == received+count }, test.Patience, test.Patience/10_000)
			tell()
		})
		require.False(t, all)
		confirmed, all = send(confirmed, func() {})
		require.True(t, all, "%s up to %d", name, confirmed)
		for i := range count {
			consumer.Message(name + " " + strconv.Itoa(i))
		}
		consumer.Quiet()
		consumer.Close()
	}
}

// TestACommitFollowsWhatWaitsBeforeIt in the order of the frames.
func TestACommitFollowsWhatWaitsBeforeIt(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c, consumer := test.DialTCP(t, n).Connect(), test.Dial(t, n).Connect()
	consumer.Subscribe("s", "/queue/order", "ack", "client")
	var wire []byte
	add := func(command, body string, pairs ...string) {
		f := frames.New(command, pairs...)
		f.Body = []byte(body)
		wire = frames.Append(wire, f, frames.V12)
	}
	for i := range 50 {
		add(frames.SEND, "a"+strconv.Itoa(i), "destination", "/queue/order", "dedup-id", "a"+strconv.Itoa(i))
	}
	add(frames.SEND, "plain", "destination", "/queue/order")
	add(frames.BEGIN, "", "transaction", "t")
	add(frames.SEND, "in", "destination", "/queue/order", "transaction", "t")
	add(frames.COMMIT, "", "transaction", "t", "receipt", "committed")
	add(frames.SEND, "after", "destination", "/queue/order", "dedup-id", "after", "receipt", "after")
	c.Raw(string(wire))
	c.Receipt("committed")
	c.Receipt("after")
	for i := range 50 {
		consumer.Message("a" + strconv.Itoa(i))
	}
	consumer.Message("plain")
	consumer.Message("in")
	consumer.Message("after")
}
