package relay

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// knownReader is a reader of one node, and what it is given.
type knownReader struct {
	t      *testing.T
	r      *Relay
	reader *reader
	got    chan driver.Delivery
}

// arrive has a message come as a leader of the consumer would send it for the first time.
func (k *knownReader) arrive(seq uint64) driver.Delivery {
	k.t.Helper()
	subject := "stompbox.queue.a" // of a message of the queue, whatever is in it
	if k.reader.source.name() == "/topic/a" {
		subject = "stompbox.history.all.topic.a"
	}
	reply := fmt.Sprintf("$JS.ACK.%s.%s.1.%d.%d.%d.0", k.reader.stream, k.reader.consumer, seq, seq, time.Now().UnixNano())
	k.reader.arrived(&nats.Msg{Sub: k.reader.sub, Subject: subject, Reply: reply, Data: []byte("x")})
	return k.next()
}

func (k *knownReader) next() driver.Delivery {
	k.t.Helper()
	select {
	case d := <-k.got:
		return d
	case <-time.After(patience):
		k.t.Fatal("nothing came")
		return driver.Delivery{}
	}
}

// settled waits until it is known what may have been delivered.
func (k *knownReader) settled() {
	k.t.Helper()
	require.Eventually(k.t, func() bool {
		c := k.reader.known
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.doubts > 0 && c.doubted < 1<<60
	}, patience, time.Millisecond)
}

// TestWhatAnotherLeaderTakesForNewIsMarked: a leader that died may have delivered what it
// had not noted, to this node or to another one.
func TestWhatAnotherLeaderTakesForNewIsMarked(t *testing.T) {
	t.Parallel()
	pattern, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	histories := HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: pattern}}}
	a, err := Embed(EmbeddedOptions{DataDir: t.TempDir(), Port: -1}, Options{Histories: histories})
	require.NoError(t, err)
	t.Cleanup(a.Close)
	b, err := Dial(Options{URL: a.ClientURL(), Histories: histories})
	require.NoError(t, err)
	t.Cleanup(b.Close)
	require.Eventually(t, func() bool { return a.Stats().Nodes == 1 && b.Stats().Nodes == 1 }, patience, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	server, err := nats.Connect(a.ClientURL()) // in place of a leader
	require.NoError(t, err)
	t.Cleanup(server.Close)
	exact, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	kinds := map[string]func(r *Relay, deliver func(driver.Delivery)) (driver.QueueReader, error){
		"queue": func(r *Relay, deliver func(driver.Delivery)) (driver.QueueReader, error) {
			return r.queues.OpenQueue(ctx, "/queue/a", driver.QueueOptions{}, deliver)
		},
		"durable": func(r *Relay, deliver func(driver.Delivery)) (driver.QueueReader, error) {
			return r.histories.OpenDurable(ctx, driver.DurableSubscription{History: "all", Name: "d", Pattern: exact}, deliver)
		},
	}
	for name, open := range kinds {
		t.Run(name, func(t *testing.T) {
			on := func(r *Relay) *knownReader {
				k := &knownReader{t: t, r: r, got: make(chan driver.Delivery, 10)}
				opened, err := open(r, func(d driver.Delivery) { k.got <- d })
				require.NoError(t, err)
				k.reader = opened.(*reader)
				t.Cleanup(func() { opened.Close(nil) })
				return k
			}
			first, second := on(a), on(b)
			require.False(t, first.arrive(5).Redelivered)
			require.True(t, first.arrive(5).Redelivered, "this node had it")
			require.True(t, first.arrive(4).Redelivered)
			require.False(t, first.arrive(6).Redelivered)
			require.False(t, second.arrive(3).Redelivered)
			require.False(t, second.arrive(4).Redelivered, "nothing says yet that the first node had it")

			advisory := consumerLeaderElected + first.reader.stream + "." + first.reader.consumer
			require.NoError(t, server.Publish(advisory, []byte(`{"leader":"another"}`)))
			second.settled()
			require.True(t, second.arrive(5).Redelivered, "the first node had it")
			require.True(t, second.arrive(6).Redelivered)
			require.False(t, second.arrive(7).Redelivered, "no node had it")
			first.settled()
			require.False(t, first.arrive(8).Redelivered)
		})
	}
}
