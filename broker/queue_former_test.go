package broker_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker"
	"github.com/stompbox/stompbox/destination"
	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// changedLimits are settings of a queue before a restart and after it.
func changedLimits(t *testing.T) map[string]struct{ before, after broker.QueueDefaults } {
	t.Helper()
	match, err := destination.ParsePattern("/queue/form.*")
	require.NoError(t, err)
	none := broker.QueueDefaults{}
	messages := broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxMessages: 1000}}
	bytes := broker.QueueDefaults{QueuePolicy: broker.QueuePolicy{MaxBytes: 1 << 20}}
	policy := broker.QueueDefaults{Policies: []broker.QueuePolicy{{Match: match, MaxMessages: 1000}}}
	return map[string]struct{ before, after broker.QueueDefaults }{
		"max_messages added": {none, messages},
		"max_bytes added":    {none, bytes},
		"max_bytes removed":  {bytes, none},
		"policy added":       {none, policy},
		"policy removed":     {policy, none},
	}
}

// warnedOfFormer counts the lines of a log about messages in another place.
func warnedOfFormer(n *test.Node) int {
	return strings.Count(n.Log.String(), "max_messages or max_bytes was added or removed")
}

// TestWhatWasStoredBeforeLimitsChangedIsDelivered after a restart, to several consumers, and
// again when one leaves that holds some of it.
func TestWhatWasStoredBeforeLimitsChangedIsDelivered(t *testing.T) {
	t.Parallel()
	const dest, old, all = "/queue/form.a", 40, 50
	for name, limits := range changedLimits(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			t.Run("before", func(t *testing.T) {
				n := test.Start(t, test.Options{DataDir: dir, Broker: broker.Options{Queues: limits.before}})
				enqueue(t, test.Dial(t, n).Connect(), dest, numbered(old)...)
			})
			t.Run("after", func(t *testing.T) {
				n := test.Start(t, test.Options{DataDir: dir, Broker: broker.Options{Queues: limits.after}})
				leaver, sender := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
				leaver.Subscribe("q", dest, "ack", "client-individual", "prefetch-count", "10")
				held, bodies := messages(leaver, 10)
				require.Equal(t, numbered(10), bodies)
				require.Equal(t, "1", held[0].Get("delivery-count"))
				leaver.Send(frames.NACK, "id", held[3].Get("ack"), "requeue", "false", "receipt", "dead")
				leaver.Send(frames.ACK, "id", held[5].Get("ack"), "receipt", "acked")
				for receipts := 0; receipts < 2; { // and messages in place of these
					f, err := leaver.Next()
					require.NoError(t, err)
					if f.Command == frames.RECEIPT {
						receipts++
					}
				}
				enqueue(t, sender, dest, numbered(all)[old:]...)
				leaver.Close()
				awaitSessions(t, n, 1)

				first, second := test.Dial(t, n).Connect(), test.Dial(t, n).Connect()
				first.Subscribe("q", dest, "ack", "client", "prefetch-count", "20")
				again, got := messages(first, 20)
				second.Subscribe("q", dest, "ack", "client", "prefetch-count", "100")
				rest, others := messages(second, all-2-20)
				want := numbered(all)
				want = append(want[:3:3], append(want[4:5:5], want[6:]...)...)
				require.ElementsMatch(t, want, append(slices.Clone(got), others...))
				for _, f := range append(slices.Clone(again), rest...) {
					if slices.Contains(numbered(10), string(f.Body)) {
						require.Equal(t, "true", f.Get("redelivered"), "%s", f.Body)
					}
				}
				for _, bodies := range [][]string{got, others} {
					var before []int
					for _, body := range bodies {
						if number, _ := strconv.Atoi(strings.TrimPrefix(body, "m")); number < old {
							before = append(before, number)
						}
					}
					require.True(t, slices.IsSorted(before), "%v", before)
				}
				first.Send(frames.ACK, "id", again[len(again)-1].Get("ack"), "receipt", "all")
				first.Receipt("all")
				second.Send(frames.ACK, "id", rest[len(rest)-1].Get("ack"), "receipt", "all")
				second.Receipt("all")
				info, err := n.Broker.Driver().QueueAdmin.Queue(t.Context(), dest)
				if err == nil { // it may be in the list for its consumers
					require.Zero(t, info.Messages)
				}
				require.Equal(t, 1, warnedOfFormer(n))
				dead := test.Dial(t, n).Connect()
				dead.Subscribe("d", "/queue/DLQ.form.a")
				dead.Message("m3")
			})
		})
	}
}

// TestANodeWithOtherLimitsHasTheSameMessages while the settings of nodes differ.
func TestANodeWithOtherLimitsHasTheSameMessages(t *testing.T) {
	t.Parallel()
	for name, limits := range changedLimits(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := test.Start(t, test.Options{NATSPort: -1, Broker: broker.Options{Queues: limits.before}})
			b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: broker.Options{Queues: limits.after}})
			enqueue(t, test.Dial(t, a).Connect(), "/queue/form.b", numbered(20)...)
			onA, onB := test.Dial(t, a).Connect(), test.Dial(t, b).Connect()
			onB.Subscribe("q", "/queue/form.b", "ack", "client-individual", "prefetch-count", "5")
			_, got := messages(onB, 5)
			require.Equal(t, numbered(5), got)
			onA.Subscribe("q", "/queue/form.b", "ack", "client-individual", "prefetch-count", "20")
			_, others := messages(onA, 15)
			require.Equal(t, numbered(20)[5:], others)
			onB.Close()
			_, again := messages(onA, 5)
			require.Equal(t, numbered(5), again)
			require.Equal(t, 1, warnedOfFormer(b))
			require.Zero(t, warnedOfFormer(a))
		})
	}
}

// TestWhatWasStoredBeforeLimitsChangedExpiresAndIsPurged where it is.
func TestWhatWasStoredBeforeLimitsChangedExpiresAndIsPurged(t *testing.T) {
	t.Parallel()
	for name, limits := range changedLimits(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := test.Start(t, test.Options{NATSPort: -1, Broker: broker.Options{Queues: limits.before}})
			b := test.Start(t, test.Options{NATSURL: a.Relay.ClientURL(), Broker: broker.Options{Queues: limits.after}})
			sender, c := test.Dial(t, a).Connect(), test.Dial(t, b).Connect()
			expires := strconv.FormatInt(time.Now().Add(time.Second).UnixMilli(), 10)
			sender.Send(frames.SEND, "destination", "/queue/form.c", "expires", expires, "receipt", "sent", "old")
			sender.Receipt("sent")
			enqueue(t, sender, "/queue/form.c", numbered(3)...)
			time.Sleep(1100 * time.Millisecond) // more than it lives
			c.Subscribe("q", "/queue/form.c", "ack", "client-individual")
			_, got := messages(c, 3)
			require.Equal(t, numbered(3), got)
			n, err := b.Broker.Driver().QueueAdmin.PurgeQueue(t.Context(), "/queue/form.c")
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, uint64(3), "the one that expired may be there yet")
			c.Close()
			next := test.Dial(t, b).Connect()
			next.Subscribe("q", "/queue/form.c", "ack", "client-individual")
			next.Quiet()
		})
	}
}
