package broker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/frames"
	"github.com/stompbox/stompbox/internal/test"
)

// TestWhatCannotBeDoneIsRefused: no frame is confirmed of which a header is without the effect
// that its client asks for.
func TestWhatCannotBeDoneIsRefused(t *testing.T) {
	t.Parallel()
	n := test.Start(t, test.Options{Histories: test.Histories(t)})
	tests := []struct {
		command, destination string
		headers              []string
		says                 string // "": it is confirmed
	}{
		{frames.SUBSCRIBE, "/app/a", []string{"durable", "true"}, "durable:true does not go with a destination of app servers"},
		{frames.SUBSCRIBE, "/app/a.*", []string{"durable", "TRUE"}, "durable:true does not go with a destination of app servers"},
		{frames.SUBSCRIBE, "/app/a", []string{"auto-delete", "false"}, "auto-delete:false does not go with"},
		{frames.SUBSCRIBE, "/app/a", []string{"last-event-id", "1"}, "last-event-id goes with a topic that a history keeps"},
		{frames.SUBSCRIBE, "/app/a", []string{"replay-last", "1"}, "replay-last goes with a topic that a history keeps"},
		{frames.SUBSCRIBE, "/app/a", []string{"selector", "a = 1"}, "selectors are not supported"},
		{frames.SUBSCRIBE, "/app/a", []string{"durable", "false", "auto-delete", "true", "x-custom", "y"}, ""},
		{frames.SUBSCRIBE, "/queue/a", []string{"durable", "true", "auto-delete", "true"}, "contradict each other"},
		{frames.SUBSCRIBE, "/queue/a-user0123456789abcdef0123456789abcdef", []string{"durable", "true"}, ""},
		{frames.SUBSCRIBE, "/queue/a-userabcdefgh", []string{"durable", "true", "simpOrigDestination", "/user/queue/a"}, "transient queue"},
		{frames.SUBSCRIBE, "/queue/a", []string{"last-event-id", "1"}, "a queue has no past"},
		{frames.SUBSCRIBE, "/queue/a", []string{"replay-last", "5"}, "a queue has no past"},
		{frames.SUBSCRIBE, "/queue/a", []string{"browser", "true"}, "queue peek"},
		{frames.SUBSCRIBE, "/queue/a", []string{"x-single-active-consumer", "true"}, "consume it from one connection"},
		{frames.SUBSCRIBE, "/queue/a", []string{"x-message-ttl", "1000"}, "max_age"},
		{frames.SUBSCRIBE, "/queue/a", []string{"exclusive", "true"}, "consume it from one connection"},
		{frames.SUBSCRIBE, "/queue/a", []string{"activemq.exclusive", "true"}, "consume it from one connection"},
		{frames.SUBSCRIBE, "/queue/a", []string{"x-queue-type", "stream"}, "subscribe to a topic that a history keeps"},
		{frames.SUBSCRIBE, "/queue/a", []string{"x-expires", "1000"}, "max_age"},
		{frames.SUBSCRIBE, "/queue/a", []string{"subscription-type", "MULTICAST"}, "/topic/ gives it to all"},
		{frames.SUBSCRIBE, "/queue/a", []string{"subscription-type", "ANYCAST", "x-single-active-consumer", "false", "persistent", "true"}, ""},
		{frames.SUBSCRIBE, "/topic/a", []string{"exclusive", "true", "subscription-type", "MULTICAST", "persistent", "false"}, ""},
		{frames.SUBSCRIBE, "/topic/a", []string{"subscription-type", "ANYCAST"}, "/queue/ gives it to one"},
		{frames.SUBSCRIBE, "/topic/a", []string{"x-queue-name", "shared"}, "consume a /queue"},
		{frames.SUBSCRIBE, "/topic/a", []string{"x-stream-filter", "blue"}, "narrower destination"},
		{frames.SUBSCRIBE, "/topic/a", []string{"activemq.retroactive", "true"}, "replay-last"},
		{frames.SUBSCRIBE, "/topic/a", []string{"no-echo", "true"}, "set no-echo:true on the SEND"},
		{frames.SUBSCRIBE, "/topic/a", []string{"no-echo", "false"}, ""},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"persistent", "true"}, "durable:true and an id"},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"persistent", "true", "durable", "true"}, ""},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"persistent", "yes"}, "persistent has to be true or false"},
		{frames.SEND, "/queue/a", []string{"AMQ_SCHEDULED_DELAY", "60000"}, "send it when it is due"},
		{frames.SEND, "/topic/a", []string{"x-delay", "60000"}, "send it when it is due"},
		{frames.SEND, "/app/a", []string{"_AMQ_SCHED_DELIVERY", "1"}, "send it when it is due"},
		{frames.SEND, "/queue/a", []string{"JMSXGroupID", "g"}, "one queue for each group"},
		{frames.SEND, "/queue/a", []string{"_AMQ_DUPL_ID", "1"}, "set dedup-id"},
		{frames.SEND, "/topic/a", []string{"ActiveMQ.Retain", "true"}, "replay-last:1"},
		{frames.SEND, "/queue/a", []string{"destination-type", "MULTICAST"}, "/topic/ gives it to all"},
		{frames.SEND, "/topic/a", []string{"destination-type", "ANYCAST"}, "/queue/ gives it to one"},
		{frames.SEND, "/topic/a", []string{"destination-type", "MULTICAST", "ActiveMQ.Retain", "false", "priority", "9"}, ""},
		{frames.SEND, "/user/bob/queue/a", []string{"destination-type", "ANYCAST"}, ""},
		{frames.SUBSCRIBE, "/queue/a", []string{"durable", "true", "auto-delete", "false", "browser", "false", "x-queue-type", "quorum", "exclusive", "false"}, ""},
		{frames.SUBSCRIBE, "/topic/a", []string{"auto-delete", "false"}, "add durable:true"},
		{frames.SUBSCRIBE, "/user/queue/a", []string{"auto-delete", "false"}, "add durable:true"},
		{frames.SUBSCRIBE, "/topic/a", []string{"durable", "true"}, "needs a history"},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"durable", "true", "auto-delete", "true"}, "auto-delete:true does not go with durable:true"},
		{frames.SUBSCRIBE, "/topic/a", []string{"activemq.subscriptionName", "mine"}, "durable:true and an id"},
		{frames.SUBSCRIBE, "/topic/a", []string{"durable-subscription-name", "mine"}, "durable:true and an id"},
		{frames.SUBSCRIBE, "/topic/a", []string{"no-local", "true"}, "no-echo:true"},
		{frames.SUBSCRIBE, "/topic/a", []string{"x-stream-offset", "first"}, "last-event-id or replay-last"},
		{frames.SUBSCRIBE, "/topic/a", []string{"prefetch-count", "many"}, "not a number of messages"},
		{frames.SUBSCRIBE, "/topic/a", []string{"prefetch-count", "10", "ack", "client", "durable", "false", "auto-delete", "true", "no-local", "false"}, ""},
		{frames.SEND, "/queue/a", []string{"no-echo", "true"}, "goes with topics and users"},
		{frames.SEND, "/app/a", []string{"no-echo", "true"}, "goes with topics and users"},
		{frames.SEND, "/topic/a", []string{"no-echo", "true"}, ""},
		{frames.SEND, "/queue/a", []string{"no-echo", "false"}, ""},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"durable", "yes"}, `durable has to be true or false, not "yes"`},
		{frames.SUBSCRIBE, "/topic/chat.a", []string{"durable", " true"}, `not " true"`},
		{frames.SUBSCRIBE, "/queue/a", []string{"auto-delete", "1"}, "auto-delete has to be true or false"},
		{frames.SEND, "/topic/a", []string{"no-echo", "yes"}, "no-echo has to be true or false"},
		{frames.SEND, "/queue/a", []string{"persistent", "maybe"}, "persistent has to be true or false"},
		{frames.SEND, "/queue/a", []string{"persistent", "FALSE", "auto-delete", ""}, ""},
	}
	for _, tt := range tests {
		for _, dial := range []func(testing.TB, *test.Node) *test.Client{test.Dial, test.DialTCP} {
			c := dial(t, n).Connect()
			headers := append([]string{"destination", tt.destination, "receipt", "r"}, tt.headers...)
			if tt.command == frames.SUBSCRIBE {
				headers = append(headers, "id", "s")
			}
			c.Send(tt.command, headers...)
			var f *frames.Frame
			for f == nil || f.Command == frames.MESSAGE {
				var err error
				f, err = c.Next()
				require.NoError(t, err)
			}
			if tt.says == "" {
				require.Equal(t, frames.RECEIPT, f.Command, "%v: %v", tt, f.Headers)
				c.Close()
				continue
			}
			require.Equal(t, frames.ERROR, f.Command, "%v", tt)
			require.Contains(t, f.Get("message"), tt.says)
			require.Equal(t, "r", f.Get("receipt-id"))
			c.Closed()
		}
	}
}
