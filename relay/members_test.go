package relay

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// TestTheLogHasTheComingAndGoingOfNodes: one that leaves, one that dies, and one that is back.
func TestTheLogHasTheComingAndGoingOfNodes(t *testing.T) {
	t.Parallel()
	log := new(local.Log)
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{Name: "n1", Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	defer r.Close()
	m := r.members
	line := func(message string, parts ...string) {
		t.Helper()
		found := ""
		for text := range strings.Lines(log.String()) {
			if strings.Contains(text, message) {
				found = text
			}
		}
		for _, part := range parts {
			require.Contains(t, found, part)
		}
	}
	require.True(t, m.heardFrom([]byte("id2 server2 1 n2")))
	require.False(t, m.heardFrom([]byte("id2 server2 2 n2")))
	line("another node is here", "level=INFO", "peer=n2", "id=id2", "nodes=1")
	m.left("id2")
	line("another node has left", "level=INFO", "peer=n2", "nodes=0")
	require.True(t, m.heardFrom([]byte("id3 server2 1 n2")))
	require.NotContains(t, log.String(), "is back", "it had left")

	m.dropSilent(time.Now().Add(2 * lostAfter))
	line("another node is lost", "level=WARN", "peer=n2", "id=id3", "nodes=0")
	require.True(t, m.heardFrom([]byte("id4 server2 1 n2")))
	line("another node is back", "level=INFO", "peer=n2", "id=id4", "away=", "nodes=1")

	for range 2 * maxLost { // those that have no name of their own
		id := "id" + time.Now().Format("150405.000000000")
		require.True(t, m.heardFrom([]byte(id+" server3 1")))
		m.lose(id)
	}
	require.LessOrEqual(t, len(m.lostAt), maxLost)
}
