package relay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/broker/driver"
)

// TestAReplicaThatLagsIsNotTakenForTheEnd: one that has just started has nothing yet since a
// time, and the leader has.
func TestAReplicaThatLagsIsNotTakenForTheEnd(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.store(1)
	h := d.histories.streams.all["all"]
	stream, err := d.histories.streams.nameOf(t.Context(), h)
	require.NoError(t, err)
	cursor := func(since time.Time) *historyCursor {
		return &historyCursor{link: d.link, stream: stream, subject: h.prefix + ".>", since: &since, upTo: 1}
	}
	require.ErrorIs(t, cursor(time.Now().Add(-time.Minute)).checkNothingSince(t.Context()), driver.ErrUnavailable)
	require.NoError(t, cursor(time.Now().Add(time.Minute)).checkNothingSince(t.Context()))
	c := cursor(time.Now().Add(time.Minute))
	m, err := c.peek(t.Context())
	require.NoError(t, err)
	require.Nil(t, m)
}
