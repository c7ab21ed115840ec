package relay

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
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

// TestWhatIsDroppedBeforeTheFirstPageOfAReplayIsReported: a server that does not answer may have
// the first page come seconds after the leader said how far the stream goes.
func TestWhatIsDroppedBeforeTheFirstPageOfAReplayIsReported(t *testing.T) {
	t.Parallel()
	const kept = 5
	for name, tt := range map[string]struct {
		kept      int64
		pattern   string
		meanwhile func(d *deaf, stream jetstream.Stream)
		delivered int
		gap       bool
	}{
		"nothing":             {kept: kept, pattern: "/topic/a", meanwhile: func(*deaf, jetstream.Stream) {}, delivered: 3},
		"a part":              {kept: kept, pattern: "/topic/a", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", kept-1) }, delivered: 1, gap: true},
		"all":                 {kept: kept, pattern: "/topic/a", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", kept) }, gap: true},
		"all of one of two":   {kept: kept, pattern: "/topic/*", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", kept) }, delivered: 3, gap: true},
		"what is not wanted":  {kept: kept, pattern: "/topic/a", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/b", kept) }, delivered: 3},
		"what the client has": {kept: kept, pattern: "/topic/a", meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", 1) }, delivered: 3},
		"the front of a stream": {pattern: "/topic/a", meanwhile: func(d *deaf, s jetstream.Stream) {
			require.NoError(d.t, s.Purge(d.t.Context(), jetstream.WithPurgeSequence(6)))
		}, delivered: 1, gap: true},
		"all that a stream has": {pattern: "/topic/a", meanwhile: func(d *deaf, s jetstream.Stream) { require.NoError(d.t, s.Purge(d.t.Context())) }, gap: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDeaf(t, tt.kept)
			d.storeMany("/topic/a", 1)
			after := d.gets(0, false).Position
			d.stopHearing()
			for range 3 {
				d.storeMany("/topic/b", 1)
				d.storeMany("/topic/a", 1)
			}
			streams, h := d.histories.streams, d.histories.streams.all["all"]
			name, info, err := streams.info(t.Context(), h)
			require.NoError(t, err)
			stream, err := d.link.js.Stream(t.Context(), name)
			require.NoError(t, err)
			pattern, err := destination.ParsePattern(tt.pattern)
			require.NoError(t, err)
			var gaps []bool
			r := &historyReplay{
				drops: drops{streams: streams, history: h, stream: name}, epoch: after.Epoch, pattern: pattern, after: after,
				deliver: func(m *driver.Message) error {
					gaps = append(gaps, m.Gap)
					return nil
				},
			}
			r.begin(info.State)
			tt.meanwhile(d, stream)
			require.NoError(t, r.all(t.Context(), PatternSubjects(h.prefix, tt.pattern), after.Seq+1, info.State.LastSeq))
			require.Len(t, gaps, tt.delivered)
			require.Equal(t, tt.gap, r.gap || slices.Contains(gaps, true))
		})
	}
}

// TestWhatIsDroppedWhileASubscriberIsFilledUpIsReported: more may be dropped between the pages
// that are fetched since they did not arrive.
func TestWhatIsDroppedWhileASubscriberIsFilledUpIsReported(t *testing.T) {
	t.Parallel()
	const kept, last = 300, 300
	for more, gaps := range map[int][]uint64{0: nil, 250: nil, 280: {281}, kept: {last}} {
		t.Run(strconv.Itoa(more), func(t *testing.T) {
			t.Parallel()
			d := newDeaf(t, kept)
			d.storeMany("/topic/a", 1)
			first := d.gets(0, false).Position
			d.stopHearing()
			d.storeMany("/topic/a", last-2)
			d.store(last)
			pattern, err := destination.ParsePattern("/topic/a")
			require.NoError(t, err)
			got := make(chan *driver.Message, 2*kept)
			count := 0
			i := newInterest(d.histories, pattern, 0, func(m *driver.Message) {
				if count++; count == 10 {
					d.storeMany("/topic/a", more)
				}
				got <- m
			})
			i.mu.Lock()
			i.progressLocked(first.Epoch).delivered = first.Seq
			i.mu.Unlock()
			i.arrived(d.live(last, last-1, "last"))
			var reported []uint64
			for {
				m := receive(t, got)
				if m.Gap {
					reported = append(reported, m.Position.Seq)
				}
				if m.Position.Seq == last {
					break
				}
			}
			require.Equal(t, gaps, reported)
		})
	}
}

// TestWhatIsDroppedBeforeADurableSubscriptionReadsIsReported: between the time at which it was
// made or opened, and its first message.
func TestWhatIsDroppedBeforeADurableSubscriptionReadsIsReported(t *testing.T) {
	t.Parallel()
	const kept = 5
	for name, tt := range map[string]struct {
		kept      int64
		meanwhile func(d *deaf, stream jetstream.Stream)
		gap       bool
	}{
		"nothing":          {kept: kept, meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", kept-1) }},
		"all of its limit": {kept: kept, meanwhile: func(d *deaf, _ jetstream.Stream) { d.storeMany("/topic/a", kept+1) }, gap: true},
		"the front of a stream": {meanwhile: func(d *deaf, s jetstream.Stream) {
			d.storeMany("/topic/a", kept)
			_, info, err := d.histories.streams.info(d.t.Context(), d.histories.streams.all["all"])
			require.NoError(d.t, err)
			require.NoError(d.t, s.Purge(d.t.Context(), jetstream.WithPurgeSequence(info.State.LastSeq)))
		}, gap: true},
		"what another topic had": {meanwhile: func(d *deaf, _ jetstream.Stream) {
			d.storeMany("/topic/b", kept)
			d.storeMany("/topic/a", 1)
		}},
	} {
		for _, state := range []string{"new", "opened again", "opened again with one acknowledged"} {
			t.Run(name+", "+state, func(t *testing.T) {
				t.Parallel()
				d := newDeaf(t, tt.kept)
				d.stopHearing()
				d.storeMany("/topic/b", 2)
				stream, _, err := d.histories.streams.info(t.Context(), d.histories.streams.all["all"])
				require.NoError(t, err)
				s, err := d.link.js.Stream(t.Context(), stream)
				require.NoError(t, err)
				c := d.openDurable()
				if state == "opened again with one acknowledged" {
					d.store(0)
					c.takes("0", false)
				}
				if state != "new" {
					<-c.Close(nil)
					c = d.openDurable()
				}
				tt.meanwhile(d, s)
				c.Pull(1)
				select {
				case got := <-c.got:
					require.Equal(t, tt.gap, got.Message.Gap)
				case <-time.After(patience):
					t.Fatal("nothing came")
				}
			})
		}
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

// TestACountOfWhatIsToComeMayBeLate, so a slow reader has what was dropped looked for all the same.
func TestACountOfWhatIsToComeMayBeLate(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) *nats.MsgMetadata { return &nats.MsgMetadata{Timestamp: time.Now().Add(-d)} }
	policy := driver.HistoryPolicy{MaxMessages: 100}
	var d durableTrims
	require.True(t, d.mayBeGone(policy, ago(time.Second)), "none of what came a moment ago is counted")
	late := ago(time.Hour)
	for pending, want := range map[uint64]bool{0: false, 40: false, 49: true, 99: true} {
		late.NumPending = pending
		require.Equal(t, want, d.mayBeGone(policy, late), "%d to come", pending)
	}
	require.False(t, d.mayBeGone(driver.HistoryPolicy{}, ago(0)), "no limit")
}
