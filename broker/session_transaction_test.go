package broker_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestTransactions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{MaxTransactionFrames: 3}}})
	reader, c := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
	reader.Subscribe("s", "/topic/a")
	c.Send(frames.BEGIN, "transaction", "t1")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t1", "receipt", "r", "one")
	c.Receipt("r")
	c.Send(frames.BEGIN, "transaction", "t2")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t2", "dropped")
	c.Send(frames.SEND, "destination", "/topic/a", "transaction", "t1", "two")
	c.Send(frames.ABORT, "transaction", "t2", "receipt", "aborted")
	c.Receipt("aborted")
	reader.Quiet()
	c.Send(frames.COMMIT, "transaction", "t1", "receipt", "done")
	c.Receipt("done")
	reader.Message("one")
	require.Empty(t, reader.Message("two").Get("transaction"))
	reader.Quiet()

	lost := test.Dial(t, n).Connect()
	lost.Send(frames.BEGIN, "transaction", "t")
	lost.Send(frames.SEND, "destination", "/topic/a", "transaction", "t", "receipt", "r", "lost")
	lost.Receipt("r")
	lost.Close()
	reader.Quiet()

	for name, frames := range map[string][]string{
		"open already":        {"BEGIN\ntransaction:t\n\n\x00", "BEGIN\ntransaction:t\nreceipt:x\n\n\x00"},
		"no open transaction": {"COMMIT\ntransaction:t\nreceipt:x\n\n\x00"},
		"needs a transaction": {"BEGIN\nreceipt:x\n\n\x00"},
		"is too large":        {"BEGIN\ntransaction:t\n\n\x00", strings.Repeat("SEND\ndestination:/topic/a\ntransaction:t\nreceipt:x\n\n\x00", 4)},
	} {
		c := test.DialTCP(t, n).Connect()
		for _, raw := range frames {
			c.Raw(raw)
		}
		if name == "is too large" {
			for range 3 {
				c.Receipt("x")
			}
		}
		require.Equal(t, "x", c.Error(name).Get("receipt-id"))
	}
}

func TestQueueTransactionTakesEffectAtCommit(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/in", "work")
	c.Subscribe("in", "/queue/in", "ack", "client-individual")
	work := c.Message("work")
	other := test.Dial(t, n).Connect()
	other.Subscribe("a", "/queue/out.a")
	other.Subscribe("t", "/topic/done")

	begin := func() {
		c.Send(frames.BEGIN, "transaction", "t1")
		c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t1", "one")
		c.Send(frames.SEND, "destination", "/queue/out.b", "transaction", "t1", "two")
		c.Send(frames.SEND, "destination", "/topic/done", "transaction", "t1", "done")
		c.Send(frames.ACK, "id", work.Get("ack"), "transaction", "t1", "receipt", "in")
		c.Receipt("in")
		other.Quiet()
	}
	begin()
	c.Send(frames.ABORT, "transaction", "t1", "receipt", "abort")
	c.Receipt("abort")
	other.Quiet()
	begin()
	c.Send(frames.COMMIT, "transaction", "t1", "receipt", "commit")
	c.Receipt("commit")
	got := []string{string(other.Expect(frames.MESSAGE).Body), string(other.Expect(frames.MESSAGE).Body)}
	require.ElementsMatch(t, []string{"one", "done"}, got)
	other.Subscribe("b", "/queue/out.b")
	other.Message("two")
	c.Close()
	other.Subscribe("in", "/queue/in")
	other.Quiet()
}

// TestARepeatedTransactionStoresNothingTwice: its sender did not learn of the
// first COMMIT.
func TestARepeatedTransactionStoresNothingTwice(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for range 2 {
		c.Send(frames.BEGIN, "transaction", "t")
		for _, body := range numbered(3) {
			c.Send(frames.SEND, "destination", "/queue/out", "transaction", "t", "dedup-id", body, body)
		}
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "c")
		c.Receipt("c")
	}
	c.Subscribe("q", "/queue/out")
	for _, body := range numbered(3) {
		c.Message(body)
	}
	c.Quiet()
}

// TestQueueTransactionIsAllOrNone: one message of it is too large for the
// store, so that none is there afterwards, and what it acknowledged comes again.
func TestQueueTransactionIsAllOrNone(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Broker: broker.Options{Limits: broker.Limits{Frame: frames.Limits{MaxBody: 16 << 20}, MaxTransactionBytes: 64 << 20}}})
	c := test.DialTCP(t, n).Connect()
	enqueue(t, c, "/queue/in", "work")
	c.Subscribe("in", "/queue/in", "ack", "client-individual")
	work := c.Message("work")
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t", "one")
	c.Send(frames.SEND, "destination", "/queue/out.b", "transaction", "t", string(make([]byte, 9<<20)))
	c.Send(frames.SEND, "destination", "/queue/out.a", "transaction", "t", "three")
	c.Send(frames.ACK, "id", work.Get("ack"), "transaction", "t")
	c.Send(frames.COMMIT, "transaction", "t", "receipt", "commit")
	c.Error("transaction: the message could not be stored")
	after := test.Dial(t, n).Connect()
	after.Subscribe("a", "/queue/out.a")
	after.Subscribe("b", "/queue/out.b")
	after.Quiet()
	after.Subscribe("in", "/queue/in")
	require.Equal(t, "true", after.Message("work").Get("redelivered"))
}

func TestHistoryInTransactions(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	c := test.Dial(t, n).Connect()
	c.Subscribe("s", "/topic/chat.t")
	c.Send(frames.BEGIN, "transaction", "t")
	c.Send(frames.SEND, "destination", "/topic/chat.t", "transaction", "t", "1")
	c.Send(frames.SEND, "destination", "/topic/chat.t", "transaction", "t", "2")
	c.Quiet()
	c.Send(frames.COMMIT, "transaction", "t")
	c.Message("1")
	c.Message("2")
	// No echo, and messages that came before by their dedup-id, are not seen.
	c.Send(frames.SEND, "destination", "/topic/chat.t", "no-echo", "true", "receipt", "r", "mine")
	c.Receipt("r")
	c.Send(frames.SEND, "destination", "/topic/chat.t", "dedup-id", "x", "3")
	c.Send(frames.SEND, "destination", "/topic/chat.t", "dedup-id", "x", "3")
	c.Message("3")
	c.Quiet()
}

func TestARequestInATransactionIsSentAtItsCommit(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	server, client := test.Dial(t, n).Connect(), test.Caller(t, n, "alice")
	server.Subscribe("app", "/app/work")
	client.Send(frames.BEGIN, "transaction", "t")
	client.Send(frames.SEND, "destination", "/app/work", "transaction", "t", "receipt", "kept", "x")
	client.Receipt("kept")
	server.Quiet()
	client.Send(frames.COMMIT, "transaction", "t", "receipt", "sent")
	server.Message("x")
	client.Receipt("sent")
	client.Quiet()
}

// failingAcks is a store whose readers cannot confirm an acknowledgement while fail is
// set.
type failingAcks struct {
	driver.QueueStore
	fail atomic.Bool
}

type failingReader struct {
	driver.QueueReader
	store *failingAcks
}

func (s *failingAcks) OpenQueue(ctx context.Context, queue string, o driver.QueueOptions, deliver func(driver.Delivery)) (driver.QueueReader, error) {
	r, err := s.QueueStore.OpenQueue(ctx, queue, o, deliver)
	return &failingReader{r, s}, err
}

func (r *failingReader) Ack(d driver.Delivery, done func(error)) {
	if done != nil && r.store.fail.Load() {
		go done(driver.ErrUnavailable)
		return
	}
	r.QueueReader.Ack(d, done)
}

// TestReceiptOfACommitCoversItsAcks: it comes once the store has removed the messages,
// and where the store cannot say so an ERROR names it.
func TestReceiptOfACommitCoversItsAcks(t *testing.T) {
	t.Parallel()
	store := new(failingAcks)
	n := test.Start(t, test.Options{Wrap: func(d driver.Driver) driver.Driver {
		store.QueueStore = d.Queues
		d.Queues = store
		return d
	}})
	enqueue(t, test.Dial(t, n).Connect(), "/queue/acks", numbered(4)...)
	c := test.Dial(t, n).Connect()
	c.Subscribe("q", "/queue/acks", "ack", "client")
	all, _ := messages(c, 4)
	commit := func(ack *frames.Frame) {
		c.Send(frames.BEGIN, "transaction", "t")
		c.Send(frames.ACK, "id", ack.Get("ack"), "transaction", "t")
		c.Send(frames.COMMIT, "transaction", "t", "receipt", "commit")
	}
	commit(all[1])
	c.Receipt("commit")
	store.fail.Store(true)
	commit(all[3])
	require.Equal(t, "commit", c.Error("could not be confirmed").Get("receipt-id"))
}
