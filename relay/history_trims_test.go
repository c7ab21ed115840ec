package relay

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
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

// TestWhatIsDroppedBetweenPagesOfAReplayIsReported: each destination of a pattern is looked at
// again, also one of which nothing is left that was to be replayed, and the stream itself.
func TestWhatIsDroppedBetweenPagesOfAReplayIsReported(t *testing.T) {
	t.Parallel()
	const kept = 300
	for name, tt := range map[string]struct {
		kept       int64
		pattern    string
		meanwhile  func(d *deaf, stream jetstream.Stream)
		gaps       []uint64
		incomplete bool
	}{
		"nothing":              {kept: kept, pattern: "/topic/*", meanwhile: func(*deaf, jetstream.Stream) {}},
		"a part of one of two": {kept: kept, pattern: "/topic/*", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/b", kept-50) }, gaps: []uint64{2*kept - 99}},
		"all of one of two":    {kept: kept, pattern: "/topic/*", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/b", kept) }, incomplete: true},
		"all of the only one":  {kept: kept, pattern: "/topic/b", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/b", kept) }, incomplete: true},
		"the front of a stream": {pattern: "/topic/*", meanwhile: func(d *deaf, s jetstream.Stream) {
			require.NoError(d.t, s.Purge(d.t.Context(), jetstream.WithPurgeSequence(500)))
		}, gaps: []uint64{500}},
		"the front, for one": {pattern: "/topic/a", meanwhile: func(d *deaf, s jetstream.Stream) {
			require.NoError(d.t, s.Purge(d.t.Context(), jetstream.WithPurgeSequence(550)))
		}, gaps: []uint64{550}},
		"what was delivered": {pattern: "/topic/*", meanwhile: func(d *deaf, s jetstream.Stream) {
			require.NoError(d.t, s.Purge(d.t.Context(), jetstream.WithPurgeSequence(100)))
		}},
		"all that a stream has":  {pattern: "/topic/*", meanwhile: func(d *deaf, s jetstream.Stream) { require.NoError(d.t, s.Purge(d.t.Context())) }, incomplete: true},
		"more of another's only": {kept: kept, pattern: "/topic/a", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/b", kept) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeaf(t, tt.kept)
			d.storeMany("/topic/b", 1)
			d.storeMany("/topic/a", 1)
			first := d.gets(0, false).Position
			d.stopHearing()
			for range kept - 1 {
				d.storeMany("/topic/b", 1)
				d.storeMany("/topic/a", 1)
			}
			name, err := d.histories.streams.nameOf(t.Context(), d.histories.streams.all["all"])
			require.NoError(t, err)
			stream, err := d.link.js.Stream(t.Context(), name)
			require.NoError(t, err)
			pattern, err := destination.ParsePattern(tt.pattern)
			require.NoError(t, err)
			var gaps []uint64
			delivered := 0
			result, err := d.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: pattern, After: first}, func(m *driver.Message) error {
				if delivered++; delivered == 10 {
					tt.meanwhile(d, stream)
				}
				if m.Gap {
					gaps = append(gaps, m.Position.Seq)
				}
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, tt.gaps, gaps)
			require.Equal(t, tt.incomplete, result.Incomplete)
		})
	}
}

// storeMany stores messages with bodies from 0 on.
func (d *deaf) storeMany(key string, n int) {
	d.t.Helper()
	stored := make(chan error, n)
	for body := range n {
		m := &driver.Message{Destination: key, Key: key, Timestamp: time.Now().UnixMilli(), Body: []byte(strconv.Itoa(body))}
		d.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
	}
	for range n {
		require.NoError(d.t, <-stored)
	}
}
