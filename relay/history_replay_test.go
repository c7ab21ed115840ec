package relay

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
	"github.com/stompbox/stompbox/destination"
)

// TestReplayOfTheLastIsReadInPages: not all of it is collected first, also where a pattern
// takes two subjects.
func TestReplayOfTheLastIsReadInPages(t *testing.T) {
	t.Parallel()
	k := openKeeper(t, t.TempDir())
	defer k.Close()
	const kept = 2*pageMessages + 100
	stored := make(chan error, kept)
	for i := range kept {
		m := &driver.Message{Destination: "/topic/a", Key: "/topic/a" + []string{"", ".b", "/c"}[i%3], Timestamp: time.Now().UnixMilli(), Body: []byte(strconv.Itoa(i))}
		k.queues.Store(m, driver.StoreOptions{History: "all"}, func(err error) { stored <- err })
	}
	for range kept {
		require.NoError(t, <-stored)
	}
	pattern, err := destination.ParsePattern("/topic/a.**")
	require.NoError(t, err)
	last := func(n int, deliver func(*driver.Message) error) error {
		_, err := k.histories.Replay(t.Context(), driver.ReplayRequest{History: "all", Pattern: pattern, Last: n}, deliver)
		return err
	}
	var bodies []string
	require.NoError(t, last(10, func(m *driver.Message) error { bodies = append(bodies, string(m.Body)); return nil }))
	var want []string
	for i := kept - 1; len(want) < 10; i-- {
		if i%3 < 2 { // /topic/a/c does not match, though it does for NATS
			want = append(want, strconv.Itoa(i))
		}
	}
	slices.Reverse(want)
	require.Equal(t, want, bodies)

	// What is gone before the second page is read was in no memory.
	delivered := 0
	err = last(kept, func(*driver.Message) error {
		if delivered++; delivered > 1 {
			return nil
		}
		name, err := k.histories.streams.nameOf(t.Context(), k.histories.streams.all["all"])
		if err != nil {
			return err
		}
		stream, err := k.link.js.Stream(t.Context(), name)
		if err != nil {
			return err
		}
		return stream.Purge(t.Context())
	})
	require.NoError(t, err)
	require.LessOrEqual(t, delivered, 2*pageMessages)

	errStop := errors.New("stop")
	require.ErrorIs(t, last(kept, func(*driver.Message) error { return errStop }), nil, "nothing is left")
}
