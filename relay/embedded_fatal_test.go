package relay

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAServerThatIsStartedAgainForgetsWhatEndedIt: a start that takes too long would be explained
// by what ended the server before.
func TestAServerThatIsStartedAgainForgetsWhatEndedIt(t *testing.T) {
	t.Parallel()
	r, err := Embed(EmbeddedOptions{DataDir: t.TempDir()}, Options{})
	require.NoError(t, err)
	defer r.Close()
	server := r.link.server
	server.log.Fatalf("the disk is %s", "gone")
	require.Equal(t, "the disk is gone", server.log.lastFatal())
	require.NoError(t, server.restart())
	require.Empty(t, server.log.lastFatal())
}
