package relay

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestARepetitionWaitsUntilDedupIDsAreRead: after a restart the first SEND has them read, and
// those that come meanwhile are repetitions too.
func TestARepetitionWaitsUntilDedupIDsAreRead(t *testing.T) {
	t.Parallel()
	const removed, repeated, dest = 20 * pageMessages, 32, "/queue/a"
	dir := t.TempDir()
	k := openKeeper(t, dir)
	require.NoError(t, k.queues.dedup.ensure(t.Context()))
	stream := queuePlace(k.link.prefix, dest, driver.QueueOptions{}).stream
	options := func(i int) driver.StoreOptions { return driver.StoreOptions{DedupID: strconv.Itoa(i)} }
	written := make(chan error, removed)
	for i := range removed {
		k.queues.dedup.write(stream, dedupID("", dest, options(i)), time.Now(), func(err error) { written <- err })
	}
	for range removed {
		require.NoError(t, <-written)
	}
	k.Close()

	k = openKeeper(t, dir)
	defer k.Close()
	stored := make(chan error, repeated)
	for i := range repeated {
		go k.queues.Store(&driver.Message{Key: dest, Destination: dest, Body: []byte("repeated")}, options(removed-1-i), func(err error) { stored <- err })
	}
	for range repeated {
		require.NoError(t, <-stored)
	}
	_, err := k.link.js.Stream(t.Context(), stream)
	require.NoError(t, err)
	count, err := countAtLeader(t.Context(), k.link, stream, Subject(k.link.prefix, dest))
	require.NoError(t, err)
	require.Zero(t, count, "messages that were stored again")
}
