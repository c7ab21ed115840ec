package broker_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

func TestFullQueueRefusesWithAnError(t *testing.T) {
	t.Parallel()
	match := func(s string) destination.Pattern {
		p, err := destination.ParsePattern(s)
		require.NoError(t, err)
		return p
	}
	n := test.Start(t, test.Options{Broker: broker.Options{Queues: broker.QueueDefaults{Policies: []broker.QueuePolicy{
		{Match: match("/queue/few.*"), MaxMessages: 3},
		{Match: match("/queue/small.*"), MaxBytes: 10_000},
		{Match: match("/queue/short.*"), MaxAge: time.Second},
	}}}})
	c := test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/few.a", numbered(3)...)
	enqueue(t, c, "/queue/few.b", numbered(3)...)
	c.Send(frames.SEND, "destination", "/queue/few.a", "receipt", "over", "x")
	f := c.Error("the queue is full")
	require.Equal(t, "over", f.Get("receipt-id"))
	require.NotEmpty(t, f.Get("retry-after"))

	c = test.Dial(t, n).Connect()
	body := string(make([]byte, 4000))
	enqueue(t, c, "/queue/small.a", body, body)
	c.Send(frames.SEND, "destination", "/queue/small.a", body)
	c.Error("the queue is full")

	c = test.Dial(t, n).Connect()
	enqueue(t, c, "/queue/short.a", "old")
	enqueue(t, c, "/queue/few.c", "stays")
	time.Sleep(2500 * time.Millisecond) // more than the age, by the server's clock
	c.Subscribe("s", "/queue/short.a")
	c.Quiet()
	for _, q := range []string{"/queue/few.a", "/queue/few.b"} {
		c.Subscribe(q, q)
		for _, body := range numbered(3) {
			c.Message(body)
		}
		c.Quiet()
	}
	require.Equal(t, int64(2), n.Broker.Stats().Refused)
}

func TestQueueMessagesExpire(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).UnixMilli(), 10) }
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(-time.Second), "receipt", "1", "late")
	c.Receipt("1")
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(300*time.Millisecond), "receipt", "2", "soon")
	c.Receipt("2")
	c.Send(frames.SEND, "destination", "/queue/e", "expires", at(time.Hour), "receipt", "3", "later")
	c.Receipt("3")
	time.Sleep(400 * time.Millisecond) // what expires has to do so
	c.Subscribe("q", "/queue/e")
	c.Message("later")
	c.Quiet()
	require.Equal(t, int64(2), n.Broker.Stats().Expired)
}

// TestADedupIDIsOfItsUser: no other user can use an id first and have a message dropped,
// nor does one whose client counts from the same number.
func TestADedupIDIsOfItsUser(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	for _, destination := range []string{"/queue/shared", "/topic/chat.shared"} {
		reader := test.Dial(t, n).Connect()
		reader.Subscribe("0", destination)
		for _, user := range []string{"ann", "ben", "ann"} {
			c := test.Dial(t, n).Connect("Authorization", "Bearer "+test.Token(t, user, time.Hour, auth.Grants{}))
			c.Send(frames.SEND, "destination", destination, "dedup-id", "1", "receipt", "r", "of "+user)
			c.Receipt("r")
		}
		reader.Message("of ann")
		reader.Message("of ben")
		reader.Quiet()
	}
}

func TestQueueDropsDuplicates(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{})
	c := test.Dial(t, n).Connect()
	for _, queue := range []string{"/queue/d1", "/queue/d1", "/queue/d2"} {
		c.Send(frames.SEND, "destination", queue, "dedup-id", "order 7", "receipt", "r", "x")
		c.Receipt("r")
	}
	for _, queue := range []string{"/queue/d1", "/queue/d2"} {
		c.Subscribe(queue, queue)
		require.Equal(t, queue, c.Message("x").Get("destination"))
		c.Quiet()
	}
}
