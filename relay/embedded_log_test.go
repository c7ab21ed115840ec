package relay

import (
	"log/slog"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// TestTheServerDoesNotWarnOfItsOwnPasswords: an operator could do nothing about it.
func TestTheServerDoesNotWarnOfItsOwnPasswords(t *testing.T) {
	t.Parallel()
	at, err := local.Address()
	require.NoError(t, err)
	host, text, err := net.SplitHostPort(at)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	for name, e := range map[string]EmbeddedOptions{
		"one of its own, in a cluster": {Cluster: &ClusterOptions{Name: "c", Node: "n", Host: host, Port: port, Peers: []string{at}, User: "route", Password: "of the routes"}},
		"one of the configuration":     {Host: "127.0.0.1", Port: -1, User: "nats", Password: "of the configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said local.Log
			e.DataDir = t.TempDir()
			r, err := Embed(e, Options{Logger: slog.New(slog.NewTextHandler(&said, nil))})
			require.NoError(t, err)
			r.Close()
			require.NotContains(t, said.String(), "assword")
		})
	}
}

// TestAStopOfAClusterWarnsOfNoSnapshot: each node writes one then, and an operator could do
// nothing about it. One that takes long is a fault.
func TestAStopOfAClusterWarnsOfNoSnapshot(t *testing.T) {
	t.Parallel()
	all := clusterOf(t, 3)
	for _, d := range all {
		d.close()
	}
	for _, d := range all {
		require.Zero(t, d.logged("blocking snapshot"), d.said.String())
	}
	var said local.Log
	log := &natsLogger{log: slog.New(slog.NewTextHandler(&said, nil))}
	log.Warnf("%s", "Metalayer blocking snapshot took 12.345s (streams: 2, consumers: 0, compacted: 4.97 KB)")
	require.Contains(t, said.String(), "took 12.345s")
}
