package broker

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/fairturns"
)

// TestLargeRequestsAreWorkedOnInTurn, while small ones wait for no one, nor does anyone for a
// request whose next bytes are on their way.
func TestLargeRequestsAreWorkedOnInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := fairturns.New(1)
		incoming := func(user string) *Incoming {
			return &Incoming{account{budget: newBudget("incoming_bytes", "", CodeMemoryLimit, ByteLimits{})}, &Work{turns: turns, user: user}}
		}
		read := func(from io.Reader, n int) {
			_, err := io.ReadFull(from, make([]byte, n))
			require.NoError(t, err)
		}
		large := strings.NewReader(strings.Repeat("x", 2*PieceBytes))
		peer, writer := io.Pipe()
		mallory := incoming("mallory")
		hers := mallory.Reader(io.MultiReader(large, peer))
		read(hers, 2*PieceBytes)

		read(incoming("carol").Reader(strings.NewReader(strings.Repeat("x", PieceBytes))), PieceBytes) // is small

		alice := incoming("alice")
		worked := false
		go func() {
			read(alice.Reader(strings.NewReader(strings.Repeat("x", 2*PieceBytes))), 2*PieceBytes)
			worked = true
		}()
		synctest.Wait()
		require.False(t, worked, "mallory's is worked on")
		go read(hers, 1)
		synctest.Wait()
		require.True(t, worked, "mallory's waits for bytes")

		_, err := io.WriteString(writer, "x")
		require.NoError(t, err)
		other := &Work{turns: turns, user: "dave"}
		took := false
		go func() {
			other.Begin(PieceBytes + 1)
			took = true
		}()
		synctest.Wait()
		require.False(t, took, "alice's is worked on until she rests")
		alice.Rest()
		synctest.Wait()
		require.False(t, took, "it is mallory's turn before")
		mallory.Close()
		synctest.Wait()
		require.True(t, took)
		other.Rest()
		other.Rest() // which it does once
		turns.Take("eve")
	})
}
