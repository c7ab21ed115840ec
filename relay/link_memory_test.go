package relay

import (
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// TestAQuestionTakesLittleMemory: a client may have many asked, such as for pages of a history.
func TestAQuestionTakesLittleMemory(t *testing.T) {
	t.Parallel()
	var o nats.Options
	for _, option := range new(link).options(Options{}) {
		require.NoError(t, option(&o))
	}
	require.GreaterOrEqual(t, o.SubChanLen, 4*pageMessages)
	require.LessOrEqual(t, o.SubChanLen, 4096)
}
