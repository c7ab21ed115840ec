package relay

import (
	"strconv"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// TestAMessageOnItsWayIsNotTakenForOneThatWasSeen: one subscriber was given the past
// up to a message that others of the interest have not had yet.
func TestAMessageOnItsWayIsNotTakenForOneThatWasSeen(t *testing.T) {
	t.Parallel()
	match, err := destination.ParsePattern("/topic/**")
	require.NoError(t, err)
	r := newRelay(Options{Prefix: DefaultPrefix, Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "all", Match: match}}}}, nil)
	var got []string
	pattern, err := destination.ParsePattern("/topic/a")
	require.NoError(t, err)
	i := newInterest(r.histories, pattern, 0, func(m *driver.Message) { got = append(got, m.ID) })
	arrive := func(seq, before int) {
		i.arrived(&nats.Msg{Subject: "stompbox.topic.a", Header: nats.Header{
			"Nats-Stream": {"stompbox_history_all_epoch"}, "Nats-Subject": {"stompbox.history.all.topic.a"},
			"Nats-Sequence": {strconv.Itoa(seq)}, "Nats-Last-Sequence": {strconv.Itoa(before)},
		}})
	}
	require.True(t, i.join("epoch", 5))
	arrive(5, 4)
	arrive(5, 4) // fetched and live
	arrive(6, 5)
	require.True(t, i.join("epoch", 9)) // what was seen counts more
	arrive(7, 6)
	require.Equal(t, []string{"epoch-5", "epoch-6", "epoch-7"}, got)
}

// TestAServerThatNoOtherReachesKnowsInterestsInHistoriesAlone: what is published on a node is
// delivered there by the node itself.
func TestAServerThatNoOtherReachesKnowsInterestsInHistoriesAlone(t *testing.T) {
	t.Parallel()
	match, err := destination.ParsePattern("/topic/kept.**")
	require.NoError(t, err)
	for port, subscriptions := range map[int]map[string]int{ // by pattern
		0:  {"/topic/a": 0, "/topic/other.*": 0, "/topic/kept.a": 1, "/topic/**": 1, "/user/anna/queue/a": 0},
		-1: {"/topic/a": 1, "/topic/other.*": 1, "/topic/kept.a": 1, "/topic/**": 1, "/user/anna/queue/a": 1},
	} {
		r, err := Embed(EmbeddedOptions{DataDir: t.TempDir(), Port: port}, Options{Histories: HistorySettings{Policies: []driver.HistoryPolicy{{Name: "kept", Match: match}}}})
		require.NoError(t, err)
		for pattern, want := range subscriptions {
			unsubscribe, err := r.bus.Subscribe(pattern, func(*driver.Message) {})
			require.NoError(t, err)
			require.Equal(t, want, subscriptionsOf(r.bus.workers), "port %d: %s", port, pattern)
			unsubscribe()
			require.Zero(t, subscriptionsOf(r.bus.workers))
		}
		r.Close()
	}
}

func subscriptionsOf(w *workers) (n int) {
	w.subs.Range(func(any, any) bool { n++; return true })
	return n
}
