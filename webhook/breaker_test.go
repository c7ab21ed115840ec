package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOneUserOpensNoCircuitForOthers: requests that make an app server fail are of their user,
// as long as no others fail.
func TestOneUserOpensNoCircuitForOthers(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Now()
	for i := range breakAfter {
		require.Zero(t, b.wait(now, "eve"))
		require.Equal(t, i == breakAfter-1, b.failed(now, "eve"))
	}
	require.True(t, b.open())
	require.Equal(t, openFor, b.wait(now, "eve"))
	require.Zero(t, b.wait(now, "bob"))
	require.Zero(t, b.wait(now, "bob"), "and all of his at a time")

	require.False(t, b.failed(now, "bob"), "it has been said that the circuit is open")
	for _, user := range []string{"eve", "bob", "carol"} {
		require.Equal(t, openFor, b.wait(now, user), user)
	}
	later := now.Add(openFor)
	require.Zero(t, b.wait(later, "carol"), "one tries")
	require.Equal(t, openFor, b.wait(later, "dave"), "and the others wait")

	require.True(t, b.succeeded())
	require.False(t, b.open())
	for range breakAfter {
		b.failed(later, "eve")
	}
	require.Zero(t, b.wait(later, "carol"), "of those before the success nothing is left")
	require.Equal(t, openFor, b.wait(later, "eve"))
}
