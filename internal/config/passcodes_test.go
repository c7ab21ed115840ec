package config

import (
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/auth"
)

// TestAHashIsComparedOnce, however often a configuration with it is read.
func TestAHashIsComparedOnce(t *testing.T) {
	t.Parallel()
	var compared atomic.Int64
	p := passcodeChecks{matches: func(hash, passcode string) bool {
		compared.Add(1)
		return hash == "hash of guest" && passcode == "guest" || hash == "hash of nothing" && passcode == ""
	}}
	each := int64(1 + len(publicPasscodes))
	a, b := auth.Login{Name: "a", PasscodeHash: "hash of a"}, auth.Login{Name: "b", PasscodeHash: "hash of b"}
	require.NoError(t, p.check([]auth.Login{a, b}))
	require.Equal(t, 2*each, compared.Load())
	require.NoError(t, p.check([]auth.Login{a, b}))
	require.Equal(t, 2*each, compared.Load(), "they are known")
	b.PasscodeHash = "hash of guest"
	for range 2 {
		require.ErrorContains(t, p.check([]auth.Login{a, b}), `login "b": its passcode is that of an example`)
		require.Equal(t, 2*each+2, compared.Load(), "a is known, and guest is the first to be compared after none")
	}
	b.PasscodeHash = "hash of nothing"
	require.ErrorContains(t, p.check([]auth.Login{b}), `login "b": its passcode is blank`)
	require.NoError(t, p.check([]auth.Login{a}))
	require.Equal(t, 3*each+3, compared.Load(), "those of the last check are remembered, and no others")
}
