package logattr

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLinesAboutOnePeerAreBounded(t *testing.T) {
	t.Parallel()
	var p Peers
	now := time.Now()
	lines := func(peer string) (n, suppressed int) {
		for range 3 * peerBurst {
			passes, left := p.takeAt(peer, now)
			if passes {
				n++
			}
			suppressed += left
		}
		return n, suppressed
	}
	n, _ := lines("mallory")
	require.Equal(t, peerBurst, n)
	n, _ = lines("ann")
	require.Equal(t, peerBurst, n, "others have lines of their own")
	now = now.Add(2 * time.Second)
	n, suppressed := lines("mallory")
	require.Equal(t, 2*peerRate, n)
	require.Equal(t, 2*peerBurst, suppressed)
	for i := range 2 * maxPeers {
		p.takeAt(strconv.Itoa(i), now)
	}
	require.LessOrEqual(t, len(p.byPeer), maxPeers)
}
