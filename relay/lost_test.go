package relay

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAConnectionThatNATSEndsForGoodIsReported sends what NATS takes for an error of its
// protocol, after which its client library does not connect again.
func TestAConnectionThatNATSEndsForGoodIsReported(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	require.NoError(t, d.LostError())
	_ = d.link.conn.Publish(strings.Repeat("x", 2*maxControlLine), nil) // the pipe may be closed before all was written
	select {
	case <-d.Lost():
	case <-time.After(patience):
		t.Fatal("it was not reported")
	}
	require.ErrorContains(t, d.LostError(), "NATS ended the connection for good")
	require.False(t, d.Ready())
	require.Positive(t, d.logged("has to be started again"))
}

func TestCloseIsNoLoss(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	d.Close()
	require.NoError(t, d.LostError())
}
