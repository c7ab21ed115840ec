package relay

import (
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

const reportedSomething = "the embedded NATS server reported something"

// TestTheStartOfAClusterWarnsOfNoServerThatComesLater: which one starts first is no fault.
func TestTheStartOfAClusterWarnsOfNoServerThatComesLater(t *testing.T) {
	t.Parallel()
	for _, d := range clusterOf(t, 2) {
		require.Zero(t, d.logged("Error trying to connect to route"), d.said.String())
		require.Zero(t, d.logged("Waiting for routing"))
		require.Zero(t, d.logged("has not established contact"))
		d.link.server.reportMissing(time.Now().Add(2 * startGrace))
		require.Zero(t, d.logged("were reached since the start"))
	}
}

// TestAServerThatDoesNotComeIsReported: after the start it is a fault, such as a wrong name.
func TestAServerThatDoesNotComeIsReported(t *testing.T) {
	t.Parallel()
	own, err := local.Address()
	require.NoError(t, err)
	missing, err := local.Address()
	require.NoError(t, err)
	host, text, err := net.SplitHostPort(own)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	d := joinDeaf(t, 0, 1, &ClusterOptions{Name: "test", Node: "n0", Host: host, Port: port, Peers: []string{own, missing}})
	log := d.link.server.log
	require.Eventually(t, func() bool {
		log.atStart.mu.Lock()
		defer log.atStart.mu.Unlock()
		return len(log.atStart.held) == 1
	}, patience, 10*time.Millisecond)
	require.Zero(t, d.logged(reportedSomething), d.said.String())
	d.link.server.reportMissing(time.Now())
	require.Zero(t, d.logged("were reached since the start"))
	later := time.Now().Add(2 * startGrace)
	d.link.server.reportMissing(later)
	require.Equal(t, 1, d.logged("not all servers of cluster.peers were reached since the start"))
	require.Equal(t, 1, d.logged("connection refused"))
	require.False(t, log.holdAtStart(unroutedReport, unroutedReport, later), "after the start it is none any more")
	require.False(t, log.holdAtStart("", unledReport, later))
	require.False(t, log.holdAtStart(unreachedReport, "", later))
	log.Errorf("another fault: %v", errors.New("of the start"))
	require.Equal(t, 1, d.logged(reportedSomething), "what else the server says at a start is kept")
}

// TestLinesOfManyConnectionsAreOneKind: their formats have the connection in them.
func TestLinesOfManyConnectionsAreOneKind(t *testing.T) {
	t.Parallel()
	d := newDeaf(t, 0)
	for i := range 100 {
		d.link.server.log.Errorf("127.0.0.1:"+strconv.Itoa(i)+" - rid:"+strconv.Itoa(i)+` - "v1" - "a name" - a fault of a route: %d`, i) //nolint:govet // as the server does it
	}
	require.Equal(t, maxSaid, d.logged("a fault of a route"))
}
