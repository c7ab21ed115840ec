package gateway

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestIDsOfEventsAreOneField: an id that a backend made ends no line, or no reader would know
// what was the broker's.
func TestIDsOfEventsAreOneField(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"a-1": "id: a-1\n\n", "": "id: \n\n", "a\rdata: b": "\n", "a\nevent: problem": "\n", "a\x00": "\n",
	} {
		require.Equal(t, want, string(eventStream{}.EventID(nil, id)))
	}
}
