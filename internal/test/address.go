package test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stompbox/stompbox/internal/test/local"
)

// Address is [local.Address] for tests.
func Address(t testing.TB) string {
	t.Helper()
	address, err := local.Address()
	require.NoError(t, err)
	return address
}
