package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestDedupIDsOfAnyLengthTakeLittle: JetStream has all ids of the window in memory.
func TestDedupIDsOfAnyLengthTakeLittle(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("%", 500)
	all := make(map[string]bool)
	for _, internal := range []bool{false, true} {
		for _, key := range []string{"/queue/a", "/queue/b", "/queue/" + long} {
			for _, id := range []string{"1", long, long + "1"} {
				made := dedupID("ann", key, driver.StoreOptions{DedupID: id, Internal: internal})
				require.LessOrEqual(t, len(made), maxPlainDedupID+len("stompbox:"))
				require.False(t, all[made], "each is another one")
				all[made] = true
			}
		}
	}
	require.Equal(t, "ann%20/queue/a%201", dedupID("ann", "/queue/a", driver.StoreOptions{DedupID: "1"}), "a short one stays readable")
}

// TestNothingIsRemovedBeforeItsDedupIDIsKept: where the stream of dedup ids has no leader
// for a moment nothing answers, as where there is none.
func TestNothingIsRemovedBeforeItsDedupIDIsKept(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.storeInQueue("/queue/a", "x", "id")
	stream, err := d.link.js.Stream(t.Context(), d.queues.dedup.stream())
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	subjects := config.Subjects
	config.Subjects = []string{"elsewhere"}
	_, err = d.link.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	take := func() (driver.Delivery, *testConsumer) {
		c := d.consume("/queue/a")
		c.Pull(1)
		select {
		case m := <-c.got:
			return m, c
		case <-time.After(patience):
			t.Fatal("nothing came")
			return driver.Delivery{}, nil
		}
	}
	ack := func(m driver.Delivery, c *testConsumer) error {
		acked := make(chan error, 1)
		c.Ack(m, func(err error) { acked <- err })
		return <-acked
	}
	for _, known := range []bool{true, false} {
		d.queues.dedup.made = known
		m, c := take()
		require.ErrorIs(t, ack(m, c), driver.ErrUnavailable)
		<-c.Close([]driver.Delivery{m})
	}
	config.Subjects = subjects
	_, err = d.link.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	m, c := take()
	require.NoError(t, ack(m, c))
	require.True(t, d.queues.dedup.removed("stompbox_queues", m.Token[strings.LastIndex(m.Token, tokenSeparator)+1:]))

	require.NoError(t, d.link.js.DeleteStream(t.Context(), d.queues.dedup.stream()))
	d.queues.dedup.made = false
	d.storeNewIn("/queue/a", "from before dedup ids were kept")
	m, c = take()
	require.NoError(t, ack(m, c), "there is no such stream")
}

// storeNewIn stores a message with a dedup id as an older build does.
func (d *deaf) storeNewIn(queue, id string) {
	d.t.Helper()
	msg := encode("stompbox", &driver.Message{Key: queue, Destination: queue})
	msg.Header[headerMsgID] = []string{id}
	_, err := d.link.js.PublishMsg(d.t.Context(), msg)
	require.NoError(d.t, err)
}
