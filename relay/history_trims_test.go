package relay

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestAServerThatLacksAMessageIsNotAskedWhatWentBeforeIt: one that was cut off leads until it
// notices the next one, and still has what is gone. What it says must not be taken for a
// history without a gap.
func TestAServerThatLacksAMessageIsNotAskedWhatWentBeforeIt(t *testing.T) {
	t.Parallel()
	const kept = 3
	d := newDeaf(t, kept)
	streams := d.histories.streams
	h := streams.all["all"]
	store := func(from, to int) {
		for body := from; body <= to; body++ {
			d.store(body)
		}
	}
	store(1, kept)
	stream, err := streams.nameOf(t.Context(), h)
	require.NoError(t, err)
	_, epoch := streams.epochOf(stream)
	// The eighth message is on another server, which has dropped those up to the fifth.
	eighth := &driver.Message{Destination: "/topic/a", Key: "/topic/a", Position: driver.StreamPosition{Epoch: epoch, Seq: 8}}
	trimmed := func(last uint64) (bool, error) { return streams.trimmedAfter(t.Context(), h, stream, eighth, last) }
	for last := uint64(1); last <= kept; last++ {
		gap, err := trimmed(last)
		require.ErrorIs(t, err, driver.ErrUnavailable, "after %d", last)
		require.False(t, gap)
		require.True(t, streams.trimmedSince(t.Context(), h, stream, eighth, last), "what cannot be found out is taken for a gap")
	}
	store(kept+1, 8)
	for last, want := range map[uint64]bool{1: true, 4: true, 6: false, 7: false} {
		gap, err := trimmed(last)
		require.NoError(t, err, "after %d", last)
		require.Equal(t, want, gap, "after %d", last)
	}
}
